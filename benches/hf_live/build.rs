//! Builds the C++ design that the library is compared with.

fn main() {
    #[cfg(feature = "hf-live")]
    hf_live();
}

#[cfg(feature = "hf-live")]
fn hf_live() {
    println!("cargo::rerun-if-changed=hf_live/design.cpp");
    let built = cc::Build::new()
        .cpp(true)
        .std("c++17")
        // As the host's plugins are built, whatever this crate's own profile is.
        .opt_level(2)
        .warnings(true)
        .file("hf_live/design.cpp")
        .try_compile("hf_live_design");
    if let Err(error) = built {
        println!(
            "cargo::error=hf_live_design needs a C++17 compiler (install g++, or name one in CXX; \
             --no-default-features builds the other benches without it): {error}"
        );
        std::process::exit(1);
    }
}
