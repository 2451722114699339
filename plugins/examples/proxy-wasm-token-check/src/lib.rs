//! A proxy-wasm filter made with the public Rust SDK: it checks a token and sets a header. The
//! same `.wasm` runs in Envoy and whatever else has the proxy-wasm ABI.
//!
//! Its plugin configuration is a list of tokens, each with the user it belongs to:
//!
//! ```text
//! # token user
//! open-sesame ali
//! ```
//!
//! A request with `Authorization: Bearer open-sesame` goes on with `x-authenticated-user: ali`;
//! that header from a client never does. Any other request is answered with 401. A configuration
//! that can't be read refuses to start.

use std::collections::HashMap;
use std::rc::Rc;

use log::{debug, error, info};
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel};

const USER: &str = "x-authenticated-user";

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(TokenCheck::default()));
}}

/// The users, by their tokens.
type Users = HashMap<String, String>;

#[derive(Default)]
struct TokenCheck {
    users: Rc<Users>,
}

struct Check {
    users: Rc<Users>,
}

impl Context for TokenCheck {}

impl RootContext for TokenCheck {
    fn on_configure(&mut self, _: usize) -> bool {
        let configuration = self.get_plugin_configuration().unwrap_or_default();
        match parse(&configuration) {
            Ok(users) => {
                info!("knows {} tokens", users.len());
                self.users = Rc::new(users);
                true
            }
            Err(problem) => {
                error!("the plugin configuration can't be used: {problem}");
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Check { users: self.users.clone() }))
    }
}

impl Context for Check {}

impl HttpContext for Check {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let authorization = self.get_http_request_header("authorization");
        match authorization.as_deref().and_then(|header| user(&self.users, header)) {
            Some(user) => {
                self.set_http_request_header(USER, Some(user));
                Action::Continue
            }
            None => {
                debug!("no known token");
                let headers = vec![("www-authenticate", "Bearer"), ("content-type", "text/plain")];
                self.send_http_response(401, headers, Some(b"a token is wanted\n"));
                Action::Pause
            }
        }
    }
}

fn user<'a>(users: &'a Users, authorization: &str) -> Option<&'a str> {
    let (scheme, token) = authorization.split_once(' ')?;
    let user = users.get(token.trim())?;
    scheme.eq_ignore_ascii_case("bearer").then_some(user.as_str())
}

fn parse(configuration: &[u8]) -> Result<Users, String> {
    let text = std::str::from_utf8(configuration).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut users = Users::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.split_once(char::is_whitespace) {
            Some((token, user)) => users.insert(token.to_owned(), user.trim().to_owned()),
            None => return Err(format!("line {}: a token and a user are wanted", index + 1)),
        };
    }
    if users.is_empty() { Err("it has no tokens".to_owned()) } else { Ok(users) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_lines_with_a_user_each() {
        let users = parse(b"# tokens\n\nopen-sesame  ali baba \n").unwrap();
        assert_eq!(user(&users, "Bearer open-sesame"), Some("ali baba"));
        assert_eq!(user(&users, "bearer open-sesame"), Some("ali baba"));
        assert_eq!(user(&users, "Basic open-sesame"), None);
        assert_eq!(user(&users, "Bearer open"), None);
        assert_eq!(user(&users, "open-sesame"), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(parse(b"").unwrap_err(), "it has no tokens");
        assert_eq!(parse(b"a b\nc").unwrap_err(), "line 2: a token and a user are wanted");
        assert_eq!(parse(b"\xff").unwrap_err(), "it is not UTF-8");
    }
}
