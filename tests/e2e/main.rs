//! The one test binary. Each module is a topic, each test a sentence that must hold.

mod smoke;
