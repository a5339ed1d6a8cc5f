//! Another static Rust library, as an application may have one beside ours. It panics and catches
//! that, so that it also shows whether unwinding works after cmake/localise.sh.

/// 7, by way of a caught panic.
#[unsafe(no_mangle)]
pub extern "C" fn second_library() -> i32 {
    std::panic::catch_unwind(|| if std::hint::black_box(true) { panic!("expected") } else { 0 }).unwrap_or(7)
}
