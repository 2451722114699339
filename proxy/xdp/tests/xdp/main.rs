//! The XDP program and what surrounds it, in the real kernel: these tests need root, Linux 5.12
//! or later, and `ip`.

mod loaded;
mod packets;
mod parsing;
mod limits;
mod model;
mod differential;
mod object;
mod network;
mod floods;
mod lifecycle;
mod user_space;
