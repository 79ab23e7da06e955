//! Builds what the benches have in C++: the design that the library is compared with, and the
//! queues of C++ libraries.

fn main() {
    #[cfg(feature = "cpp")]
    {
        // As the host's plugins are built, whatever this crate's own profile is.
        build("hf_live", 2);
        // As these benches themselves are.
        build("queues", 3);
    }
}

#[cfg(feature = "cpp")]
fn build(name: &str, opt_level: u32) {
    let file = format!("cpp/{name}.cpp");
    println!("cargo::rerun-if-changed={file}");
    let built = cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(opt_level)
        // Queues check themselves without it.
        .define("NDEBUG", None)
        .warnings(true)
        .file(file)
        .try_compile(name);
    if let Err(error) = built {
        println!(
            "cargo::error={name}.cpp needs a C++17 compiler (install g++, or name one in CXX; \
             --no-default-features leaves out what is in C++): {error}"
        );
        std::process::exit(1);
    }
}
