//! What only the operating system knows: the time, and what a socket's other end has acknowledged.

use core::ffi::c_int;
use std::os::fd::RawFd;

use crate::time::Time;

/// Seconds since 1970.
pub(in crate::capi) fn wall_clock() -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0.0, |since| since.as_secs_f64())
}

/// A clock that also counts the time a device sleeps, where the system has one.
pub(in crate::capi) fn boot_clock() -> Time {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid place for the result. The clock exists on every system that this is
    // built for; without it the time would stand still, which is safe.
    unsafe { libc::clock_gettime(CLOCK, &mut now) };
    Time(now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000)
}

/// How many bytes of a TCP socket the other end has not acknowledged, where the system reports
/// that.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(in crate::capi) fn send_queue(socket: RawFd) -> Option<u64> {
    let mut left: c_int = 0;
    // SAFETY: this request writes one `int`, and `left` is one. Of what is no TCP socket it is an error.
    let asked = unsafe { libc::ioctl(socket, libc::TIOCOUTQ, &mut left) };
    if asked == 0 { u64::try_from(left).ok() } else { None }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(in crate::capi) fn send_queue(_: RawFd) -> Option<u64> {
    None
}
