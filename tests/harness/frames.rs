//! HTTP/2 frame by frame, for what no honest client sends.

use std::io;
use std::net::SocketAddr;

use crate::{Broken, Http1, TlsOptions};

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const PRIORITY: u8 = 0x2;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;

/// An HTTP/2 connection over TLS, after the preface and empty SETTINGS.
pub struct Frames(Http1);

#[derive(Clone, Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub const DATA: u8 = DATA;
    pub const HEADERS: u8 = HEADERS;
    pub const PRIORITY: u8 = PRIORITY;
    pub const RST_STREAM: u8 = RST_STREAM;
    pub const SETTINGS: u8 = SETTINGS;
    pub const PING: u8 = PING;
    pub const GOAWAY: u8 = GOAWAY;
    pub const WINDOW_UPDATE: u8 = WINDOW_UPDATE;
    pub const CONTINUATION: u8 = CONTINUATION;
    pub const END_STREAM: u8 = END_STREAM;
    pub const END_HEADERS: u8 = END_HEADERS;

    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a frame is small").to_be_bytes();
        let mut bytes = length[1..].to_vec();
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend_from_slice(&self.payload);
        bytes
    }
}

/// The header block of `METHOD path` for localhost, without HPACK's tables.
pub fn request_block(method: &str, path: &str) -> Vec<u8> {
    // :scheme https is entry 7 of the static table.
    let mut block = vec![0x87];
    for (name_index, value) in [(0x02, method), (0x04, path), (0x01, "localhost")] {
        block.push(name_index);
        block.push(
            u8::try_from(value.len()).ok().filter(|length| *length < 127).expect("a short value"),
        );
        block.extend_from_slice(value.as_bytes());
    }
    block
}

impl Frames {
    pub fn connect(address: SocketAddr) -> Self {
        let mut client = Http1::connect_tls(address, &TlsOptions::new().alpn(&["h2"]));
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut frames = Self(client);
        frames.send(&[Frame::new(SETTINGS, 0, 0, [])]).expect("the gateway reads");
        frames
    }

    /// Sends frames in one write.
    pub fn send(&mut self, frames: &[Frame]) -> io::Result<()> {
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::bytes).collect();
        self.0.try_send(bytes)
    }

    /// The next frame.
    pub fn receive(&mut self) -> Result<Frame, Broken> {
        let header = self.0.read_exact(9)?;
        let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
        let stream = u32::from_be_bytes([header[5] & 0x7f, header[6], header[7], header[8]]);
        let payload = self.0.read_exact(length)?;
        Ok(Frame { kind: header[3], flags: header[4], stream, payload })
    }

    /// All frames until one of `kind`.
    pub fn receive_until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self
                .receive()
                .unwrap_or_else(|broken| panic!("{broken:?} instead of a frame {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Repeats `frames` until the gateway ends the connection, and returns the error code of its
    /// GOAWAY, if one arrived.
    ///
    /// # Panics
    ///
    /// When the connection survives `times`.
    pub fn flood(
        &mut self,
        times: usize,
        mut frames: impl FnMut(usize) -> Vec<Frame>,
    ) -> Option<u32> {
        for round in 0..times {
            if self.send(&frames(round)).is_err() {
                return self.end();
            }
        }
        self.end()
    }

    /// Reads until the gateway closes.
    pub fn end(&mut self) -> Option<u32> {
        let mut code = None;
        loop {
            match self.receive() {
                Ok(frame) if frame.kind == GOAWAY => {
                    code = Some(u32::from_be_bytes(
                        frame.payload[4..8].try_into().expect("four bytes"),
                    ));
                }
                Ok(_) => {}
                Err(Broken::Ended(_)) => return code,
                Err(broken) => panic!("the connection survives: {broken:?}"),
            }
        }
    }
}
