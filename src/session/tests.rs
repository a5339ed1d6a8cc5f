//! The state machine by hand: bytes in, bytes and events out.
