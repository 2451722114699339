//! What a component may import, and that the whole WIT is there.

use wit_parser::{LiftLowerAbi, ManglingAndAbi};

use super::guest::{self, Guest, wit};
use super::host::{authorizer, component, context, load_authorizer, load_transformer, output};
use crate::ErrorKind;
use crate::component::link::{World, link};
use crate::component::pool::Calls;
use crate::component::{AuthorizerPlugin, TransformerPlugin};
use crate::config::PluginSettings;

/// A component that imports and exports everything in the world.
fn everything(world: &str) -> Vec<u8> {
    let (resolve, world) = wit(world);
    let names = ManglingAndAbi::Legacy(LiftLowerAbi::Sync);
    let module = wit_component::dummy_module(&resolve, world, names);
    guest::component(module, &resolve, world)
}

#[test]
fn every_import_and_export_of_the_wit_has_the_type_that_the_host_gives_it() {
    let context = context(PluginSettings::default());
    let whole = component(&context, &everything("authorizer"));
    assert_eq!(whole.component_type().imports(&context.engine).len(), 9, "a new interface");
    AuthorizerPlugin::new(context.clone(), &whole).unwrap();
    let whole = component(&context, &everything("transformer"));
    assert_eq!(whole.component_type().imports(&context.engine).len(), 10, "a new interface");
    TransformerPlugin::new(context, &whole).unwrap();
}

#[test]
fn a_component_of_the_other_world_is_refused() {
    let context = context(PluginSettings::default());
    let error = load_authorizer(&context, Guest::transformer()).err().unwrap();
    assert_eq!(error.message, "doesn't export tollgate:plugin/authorization@0.1.0");
    let error = load_transformer(&context, Guest::authorizer()).err().unwrap();
    assert_eq!(error.message, "doesn't export tollgate:plugin/transformation@0.1.0");
}

fn importing(import: &str) -> Vec<u8> {
    wat::parse_str(format!(r#"(component (import "{import}" (instance (export "f" (func)))))"#))
        .unwrap()
}

fn refusal(import: &str, settings: PluginSettings) -> String {
    let context = context(settings);
    let component = component(&context, &importing(import));
    let error = AuthorizerPlugin::new(context, &component).err().unwrap();
    assert_eq!(error.kind, ErrorKind::Start);
    error.message
}

#[test]
fn an_import_that_is_not_granted_or_unknown_is_named() {
    let with_wasi = || PluginSettings { wasi: true, ..PluginSettings::default() };
    assert_eq!(
        refusal("wasi:cli/environment@0.2.3", PluginSettings::default()),
        "imports wasi:cli/environment@0.2.3, but it has no grant for WASI; \
         `wasi: true` in its configuration gives it"
    );
    assert_eq!(
        refusal("acme:things/database@1.0.0", with_wasi()),
        "imports acme:things/database@1.0.0, which the world tollgate:plugin/authorizer \
         doesn't have"
    );
    assert_eq!(
        refusal("tollgate:plugin/response@0.1.0", with_wasi()),
        "imports tollgate:plugin/response@0.1.0, which the world tollgate:plugin/authorizer \
         doesn't have"
    );
    assert_eq!(
        refusal("tollgate:plugin/request@0.2.0", with_wasi()),
        "imports tollgate:plugin/request@0.2.0; here its version is 0.1.0"
    );
    let http = refusal("wasi:http/outgoing-handler@0.2.3", with_wasi());
    assert!(http.contains("`wasi:http/outgoing-handler@0.2.3`"), "{http}");
    let wrong = refusal("tollgate:plugin/clock@0.1.0", with_wasi());
    assert!(wrong.contains("`tollgate:plugin/clock@0.1.0`"), "{wrong}");
}

#[test]
fn only_what_can_wait_runs_on_a_fiber() {
    let calls = |body: &str| {
        let context = context(PluginSettings { wasi: true, ..PluginSettings::default() });
        let component = component(&context, &Guest::running(body).build());
        link(&context, World::Authorizer, &component).unwrap().1
    };
    assert_eq!(calls("(drop (call $clock.now))"), Calls::Direct);
    let fetch = "(call $fetch..method.pending.wait (i32.const 0) (i32.const 512))";
    assert_eq!(calls(fetch), Calls::Waiting);
}

#[tokio::test]
async fn a_component_without_imports_works() {
    let plugin = authorizer(PluginSettings::default(), Guest::running("(call $put {me})"));
    assert_eq!(output(&plugin).await.unwrap(), "me");
}
