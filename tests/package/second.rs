//! Another static Rust library, as an application may have one beside ours; with `--cfg third` a
//! third one. It panics and catches that, so it also shows whether unwinding works after
//! cmake/localise.sh.

/// 7, by way of a caught panic.
#[cfg_attr(not(third), unsafe(export_name = "second_library"))]
#[cfg_attr(third, unsafe(export_name = "third_library"))]
pub extern "C" fn library() -> i32 {
    std::panic::catch_unwind(|| if std::hint::black_box(true) { panic!("expected") } else { 0 }).unwrap_or(7)
}
