//! What the compiler needs to know beyond Cargo.toml, and the C part of the variadic functions.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    never_unload();
    feature_list();
    compile_varargs();
}

/// Rust's thread-local destructors live in the library: a `dlclose` before the last thread ended
/// would leave the C library calling into unmapped memory. So the shared library stays mapped.
/// (A `cdylib` argument would be the narrower one, but Cargo warns about it in a package whose
/// manifest names no cdylib; on the test programs the flag has no effect. The SONAME comes from
/// CMakeLists.txt, or from cargo-c.)
fn never_unload() {
    if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-link-arg=-Wl,-z,nodelete");
        println!("cargo:rustc-link-arg=-Wl,-Bsymbolic-functions");
    }
}

/// `MGOS_MQTT_FEATURES`: the enabled Cargo features between commas, for `mgos_mqtt_has`.
/// Taken from what Cargo passes, so that a new feature needs no second list.
fn feature_list() {
    let mut names: Vec<String> = env::vars()
        .filter_map(|(key, _)| Some(key.strip_prefix("CARGO_FEATURE_")?.to_lowercase().replace('_', "-")))
        // No function in C reaches the store yet.
        .filter(|name| name != "default" && name != "store")
        .collect();
    names.sort();
    println!("cargo:rustc-env=MGOS_MQTT_FEATURES=,{},", names.join(","));
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
fn compile_varargs() {}
