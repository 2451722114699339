//! What a transformer does with requests and responses.

use crate::bindings::transformer::exports::tollgate::plugin::transformation;

pub use crate::bindings::tollgate::plugin::types::{HeaderEdit, Reply};
pub use transformation::{
    BodyAction, BodyHandling, RequestAction, RequestEdits, ResponseAction, ResponseEdits,
};

impl Reply {
    /// A response of that status (200 to 599), without headers and body.
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// A response with a JSON body, which is taken as it is.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status).header("content-type", "application/json").body(body)
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body; the gateway adds its length.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

/// Builders that both kinds of edits have.
macro_rules! header_and_body_edits {
    ($edits:ident) => {
        impl $edits {
            /// Replaces all values of a header.
            pub fn set_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
                self.headers.push(HeaderEdit::Set((name.into(), value.into())));
                self
            }

            /// Adds a value to a header.
            pub fn append_header(
                mut self,
                name: impl Into<String>,
                value: impl Into<String>,
            ) -> Self {
                self.headers.push(HeaderEdit::Append((name.into(), value.into())));
                self
            }

            /// Removes a header.
            pub fn remove_header(mut self, name: impl Into<String>) -> Self {
                self.headers.push(HeaderEdit::Remove(name.into()));
                self
            }

            /// The function for the body gets each piece as it comes; what it gives goes on at
            /// once.
            pub fn stream_body(mut self) -> Self {
                self.body = BodyHandling::Streamed;
                self
            }

            /// The function for the body is called once, with the whole body, before the head goes
            /// on, so that it can still edit everything. A body over the plugin's limit is refused.
            pub fn buffer_body(mut self) -> Self {
                self.body = BodyHandling::Buffered;
                self
            }

            /// Another body; the one that comes is not read.
            pub fn replace_body(mut self, body: impl Into<Vec<u8>>) -> Self {
                self.body = BodyHandling::Replaced(body.into());
                self
            }
        }

        impl Default for $edits {
            fn default() -> Self {
                Self::new()
            }
        }
    };
}

header_and_body_edits!(RequestEdits);
header_and_body_edits!(ResponseEdits);

impl RequestEdits {
    /// No edits.
    pub fn new() -> Self {
        Self {
            headers: Vec::new(),
            method: None,
            path: None,
            query: None,
            body: BodyHandling::Pass,
        }
    }

    /// The method of the request to the backend.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// The path of the request to the backend, percent-encoded, without query.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The query of the request to the backend, without `?`.
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = Some(query.into());
        self
    }
}

impl ResponseEdits {
    /// No edits.
    pub fn new() -> Self {
        Self { status: None, headers: Vec::new(), body: BodyHandling::Pass }
    }

    /// Another status, 200 to 599.
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}

impl From<RequestEdits> for RequestAction {
    fn from(edits: RequestEdits) -> Self {
        Self::Edit(edits)
    }
}

impl From<ResponseEdits> for ResponseAction {
    fn from(edits: ResponseEdits) -> Self {
        Self::Edit(edits)
    }
}

impl From<Reply> for RequestAction {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<Reply> for ResponseAction {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}

impl From<Reply> for BodyAction {
    fn from(reply: Reply) -> Self {
        Self::Reply(reply)
    }
}
