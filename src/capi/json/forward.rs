//! The exported variadic functions: naked, one jump into varargs.c, which leaves every register and
//! the stack as the caller made them. Needed because Rust 1.95 cannot define C-variadic functions,
//! and C code linked into a cdylib is not exported (rust-lang/rfcs#2771).
//!
//! The prototypes for the headers stand elsewhere, in blocks that only cbindgen reads: it would
//! take these for functions without arguments.

use core::arch::naked_asm;

#[cfg(not(any(
    target_arch = "x86_64",
    target_arch = "x86",
    target_arch = "aarch64",
    target_arch = "arm",
    target_arch = "riscv32",
    target_arch = "riscv64"
)))]
compile_error!(
    "the variadic functions of the C owner_tag need one jump instruction in src/capi/json/forward.rs for \
     this architecture (target_arch is none of x86_64, x86, aarch64, arm, riscv32, riscv64); \
     without the C owner_tag, build with --no-default-features"
);

macro_rules! forward {
    ($($name:ident => $to:ident;)*) => {
        // In varargs.c. Declared without arguments: nothing in Rust calls them.
        unsafe extern "C" {
            $(fn $to();)*
        }
        $(
            /// Jumps to the C function behind it.
            #[unsafe(naked)]
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name() {
                #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
                naked_asm!("jmp {}", sym $to);
                // `arm`: rustc assembles this in the state of the target, ARM or Thumb-2, and the
                // linker adds a veneer if the C compiler chose the other one (Debian's armhf gcc
                // makes Thumb). Thumb-1 alone has no jump that reaches far enough: ARMv6-M does
                // not link.
                #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
                naked_asm!("b {}", sym $to);
                // Uses t1, which carries no argument.
                #[cfg(any(target_arch = "riscv32", target_arch = "riscv64"))]
                naked_asm!("tail {}", sym $to);
            }
        )*
    };
}

forward! {
    mgos_mqtt_pubf => mgos__pubf;
    mgos_mqtt_pubv => mgos__pubv;
    mgos_mqtt_conn_pubf => mgos__conn_pubf;
    mgos_mqtt_conn_pubv => mgos__conn_pubv;
    mgos_json_printf => mgos__json_printf;
    mgos_json_vprintf => mgos__json_vprintf;
    mgos_json_asprintf => mgos__json_asprintf;
    mgos_json_vasprintf => mgos__json_vasprintf;
    mgos_json_printf_array => mgos__json_printf_array;
}
