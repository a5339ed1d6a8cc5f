//! Signals: threads of the library block them, and a call made in a signal handler leaves no trace.

use core::ffi::c_int;
use core::mem::MaybeUninit;
use core::ptr;

/// Runs `f` with all signals blocked for this thread. A thread that it starts keeps them blocked.
pub(in crate::capi) fn blocked(f: &mut dyn FnMut()) {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: fills the set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: both are places for a set; the first was filled.
    let changed = unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    f();
    if changed == 0 {
        // SAFETY: filled by the call that changed the mask.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    }
}

/// Where the C library keeps `errno` of this thread.
fn errno() -> *mut c_int {
    #[cfg(any(target_os = "linux", target_os = "emscripten"))]
    // SAFETY: no preconditions.
    return unsafe { libc::__errno_location() };
    #[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
    // SAFETY: no preconditions.
    return unsafe { libc::__errno() };
    #[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
    // SAFETY: no preconditions.
    return unsafe { libc::__error() };
    #[cfg(not(any(
        target_os = "linux",
        target_os = "emscripten",
        target_os = "android",
        target_os = "netbsd",
        target_os = "openbsd",
        target_vendor = "apple",
        target_os = "freebsd"
    )))]
    return ptr::null_mut();
}

/// Runs `f` and restores `errno`: for calls made in a signal handler, which may interrupt anything.
pub(in crate::capi) fn keeping_errno<R>(f: impl FnOnce() -> R) -> R {
    let place = errno();
    // SAFETY: NULL, or this thread's `errno`.
    let before = unsafe { place.as_ref() }.copied();
    let result = f();
    if let Some(before) = before {
        // SAFETY: not NULL, and this thread's `errno`.
        unsafe { *place = before };
    }
    result
}
