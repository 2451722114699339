//! Authorizers and transformers for Tollgate.
//!
//! An authorizer is a function from a request to a [`Decision`]:
//!
//! ```
//! use tollgate_plugin_sdk::{Decision, Request, authorizer};
//!
//! authorizer!(authorize);
//!
//! fn authorize(request: &Request) -> Decision {
//!     match request.header("x-token").as_deref() {
//!         Some("open sesame") => Decision::allow("ali").context("cave", "open").into(),
//!         Some(_) => Decision::deny(),
//!         None => Decision::Unauthorized,
//!     }
//! }
//! ```
//!
//! A transformer is a type with the trait [`Transformer`], all of whose functions have a default:
//!
//! ```
//! use tollgate_plugin_sdk::{Request, Response, ResponseAction, ResponseEdits, Transformer, transformer};
//!
//! struct Stamp;
//! transformer!(Stamp);
//!
//! impl Transformer for Stamp {
//!     fn on_response(_: &Request, _: &Response) -> ResponseAction {
//!         ResponseEdits::new().set_header("x-served-by", "tollgate").into()
//!     }
//! }
//! ```
//!
//! The crate is a `cdylib`, built for `wasm32-unknown-unknown`; the gateway takes the `.wasm` as it
//! is. Built for any other target the same code runs in unit tests: [`testing`] plays the gateway.
//!
//! An instance of a plugin serves one call at a time, and the next call may meet another instance:
//! what belongs to an exchange is kept with [`exchange`], what belongs to the plugin with
//! [`key_value`]; statics are for what can be made anew, such as a parsed [`Configuration`].
//! A panic is logged with its message; the gateway then answers as for a failed plugin, and makes
//! a new instance.

#[doc(hidden)]
pub mod bindings;
#[cfg(any(
    test,
    all(
        feature = "allocator",
        target_arch = "wasm32",
        target_os = "unknown",
        not(target_feature = "atomics")
    )
))]
mod allocator;

mod request;
mod headers;
mod decision;
mod edits;
mod configuration;
pub mod log;
pub mod clock;
pub mod random;
pub mod exchange;
pub mod key_value;
pub mod fetch;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;

pub use configuration::Configuration;
pub use decision::{Allow, ContextValue, Decision, Policy, Refusal};
pub use edits::{
    BodyAction, BodyHandling, HeaderEdit, Reply, RequestAction, RequestEdits, ResponseAction,
    ResponseEdits,
};
pub use headers::{Header, Headers, Iter as HeadersIter};
pub use request::{ClientCertificate, Request, Response};

/// The gateway's functions: the imports of the component, or those of [`testing`].
#[cfg(target_arch = "wasm32")]
pub(crate) use bindings::tollgate::plugin as host;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use testing::host;

/// What a transformer does. Each function is called at most as often as its text says, for each
/// exchange; none is called after one of them replied.
pub trait Transformer {
    /// The request's head has come; nothing has gone to the backend.
    fn on_request(request: &Request) -> RequestAction {
        let _ = request;
        RequestAction::Pass
    }

    /// A piece of the request's body, or all of it, as [`Transformer::on_request`] asked. `last`
    /// is true once, for the last piece, which may be empty.
    fn on_request_body(request: &Request, piece: Vec<u8>, last: bool) -> BodyAction {
        let _ = (request, piece, last);
        BodyAction::Pass
    }

    /// The head of a response has come, from the backend or from the gateway itself.
    fn on_response(request: &Request, response: &Response) -> ResponseAction {
        let _ = (request, response);
        ResponseAction::Pass
    }

    /// A piece of the response's body, or all of it, as [`Transformer::on_response`] asked.
    fn on_response_body(
        request: &Request,
        response: &Response,
        piece: Vec<u8>,
        last: bool,
    ) -> BodyAction {
        let _ = (request, response, piece, last);
        BodyAction::Pass
    }
}

/// Makes the crate an authorizer. The function takes a [`&Request`](Request) and gives something
/// that is `Into<`[`Decision`]`>`: a decision, an [`Allow`], or `Result<Allow, `[`Refusal`]`>`, so that
/// `?` works.
#[macro_export]
macro_rules! authorizer {
    ($function:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Authorizer;

            impl $crate::bindings::authorizer::exports::tollgate::plugin::authorization::Guest
                for Authorizer
            {
                fn authorize() -> $crate::Decision {
                    $crate::start();
                    ($function)(&$crate::Request::current()).into()
                }
            }

            $crate::bindings::authorizer::export!(
                Authorizer with_types_in $crate::bindings::authorizer
            );
        };
        // In unit tests the function is called by them.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::Request) -> $crate::Decision = |request| ($function)(request).into();
    };
}

/// Makes the crate a transformer: the type has the trait [`Transformer`].
#[macro_export]
macro_rules! transformer {
    ($transformer:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::{BodyAction, Request, RequestAction, Response, ResponseAction};

            struct Exported;

            impl $crate::bindings::transformer::exports::tollgate::plugin::transformation::Guest
                for Exported
            {
                fn on_request() -> RequestAction {
                    $crate::start();
                    <$transformer as $crate::Transformer>::on_request(&Request::current())
                }

                fn on_request_body(piece: Vec<u8>, last: bool) -> BodyAction {
                    $crate::start();
                    <$transformer as $crate::Transformer>::on_request_body(
                        &Request::current(),
                        piece,
                        last,
                    )
                }

                fn on_response() -> ResponseAction {
                    $crate::start();
                    <$transformer as $crate::Transformer>::on_response(
                        &Request::current(),
                        &Response::current(),
                    )
                }

                fn on_response_body(piece: Vec<u8>, last: bool) -> BodyAction {
                    $crate::start();
                    <$transformer as $crate::Transformer>::on_response_body(
                        &Request::current(),
                        &Response::current(),
                        piece,
                        last,
                    )
                }
            }

            $crate::bindings::transformer::export!(
                Exported with_types_in $crate::bindings::transformer
            );
        };
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&$crate::Request) -> $crate::RequestAction =
            <$transformer as $crate::Transformer>::on_request;
    };
}

/// Called before each call of a plugin's own code: a panic's message goes to the log, since the
/// trap that follows carries none.
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub fn start() {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        std::panic::set_hook(Box::new(|panic| {
            log::write(log::Level::Error, &panic.to_string(), &[])
        }));
    });
}
