// node --import ./testing/register.js: imports of tollgate:plugin/… become those of gateway.js.
import { register } from "node:module";

register("./hooks.js", import.meta.url);
