//! Compiles the C half of the variadic functions and names the shared library.
fn main() {
    // Declarations that only cbindgen reads, see src/capi/mgos_json.rs.
    println!("cargo:rustc-check-cfg=cfg(cbindgen)");
    compile_varargs();
}

/// `src/capi/varargs.c`, for the exported functions that take `...` or a `va_list`.
#[cfg(feature = "capi")]
fn compile_varargs() {
    const SOURCE: &str = "src/capi/varargs.c";
    println!("cargo:rerun-if-changed={SOURCE}");
    cc::Build::new()
        .file(SOURCE)
        .std("c99")
        .warnings(true)
        .extra_warnings(true)
        .flag_if_supported("-fvisibility=hidden")
        .compile("mgos_mqtt_varargs");
}

#[cfg(not(feature = "capi"))]
fn compile_varargs() {
    println!("cargo:rerun-if-changed=build.rs");
}
