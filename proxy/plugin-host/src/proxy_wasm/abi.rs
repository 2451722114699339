//! The numbers of the ABI: what they mean, and that they are ones it knows.

/// What a host call answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Status {
    NotFound = 1,
    BadArgument = 2,
    ParseFailure = 4,
    InvalidMemoryAccess = 6,
    Empty = 7,
    CasMismatch = 8,
    InternalFailure = 10,
    Unimplemented = 12,
}

/// The answer of a host call that did what it was asked for.
pub(super) const OK: u32 = 0;

/// A list of headers that a filter can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MapKind {
    RequestHeaders,
    RequestTrailers,
    ResponseHeaders,
    ResponseTrailers,
    GrpcInitialMetadata,
    GrpcTrailingMetadata,
    CallHeaders,
    CallTrailers,
}

impl TryFrom<u32> for MapKind {
    type Error = Status;

    fn try_from(number: u32) -> Result<Self, Status> {
        Ok(match number {
            0 => Self::RequestHeaders,
            1 => Self::RequestTrailers,
            2 => Self::ResponseHeaders,
            3 => Self::ResponseTrailers,
            4 => Self::GrpcInitialMetadata,
            5 => Self::GrpcTrailingMetadata,
            6 => Self::CallHeaders,
            7 => Self::CallTrailers,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// A run of bytes that a filter can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BufferKind {
    Body(Direction),
    /// TCP data, and arguments of foreign functions: nothing of this kind comes here.
    Other,
    CallBody,
    GrpcMessage,
    VmConfiguration,
    PluginConfiguration,
}

impl TryFrom<u32> for BufferKind {
    type Error = Status;

    fn try_from(number: u32) -> Result<Self, Status> {
        Ok(match number {
            0 => Self::Body(Direction::Request),
            1 => Self::Body(Direction::Response),
            2 | 3 | 8 => Self::Other,
            4 => Self::CallBody,
            5 => Self::GrpcMessage,
            6 => Self::VmConfiguration,
            7 => Self::PluginConfiguration,
            _ => return Err(Status::BadArgument),
        })
    }
}

/// The two halves of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// What a headers callback wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadersAction {
    Continue,
    /// Headers and body wait.
    Pause,
    /// Headers wait, the body goes through the filter (0.2.100).
    HoldHeaders,
    /// Headers go on, the body is dropped (0.2.100).
    EndStream,
}

impl HeadersAction {
    /// Filters of old SDKs return Envoy's own values under 0.2.0 and 0.2.1, so that anything but
    /// 0 is a pause there.
    pub(super) fn new(number: u32, higress: bool) -> Self {
        match (number, higress) {
            (0, _) => Self::Continue,
            (1, true) => Self::HoldHeaders,
            (2, true) => Self::EndStream,
            _ => Self::Pause,
        }
    }
}

/// What a body callback wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyAction {
    Continue,
    Pause,
    /// What the callback saw is dropped (0.2.100): the filter keeps it itself.
    Drop,
}

impl BodyAction {
    pub(super) fn new(number: u32, higress: bool) -> Self {
        match (number, higress) {
            (0, _) => Self::Continue,
            (3, true) => Self::Drop,
            _ => Self::Pause,
        }
    }
}
