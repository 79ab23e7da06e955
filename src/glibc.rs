//! Lets the shared library load on glibc 2.31 wherever it was built.
//!
//! glibc 2.32 to 2.34 gave old functions new symbol versions, and a library
//! linked there asks for them. The linker is told (in `build.rs`) to send calls
//! of these functions to the trampolines below, which jump to the versions that
//! every x86-64 glibc has. `stat64` and `fstat64` were no symbols at all before
//! 2.33, so those two go to what its headers called then.

macro_rules! trampolines {
    ($($name:literal = $version:literal,)*) => {
        std::arch::global_asm!(
            $(
                concat!(".symver __signal_old_", $name, ", ", $name, "@", $version),
                concat!(".globl __wrap_", $name),
                concat!(".hidden __wrap_", $name),
                concat!(".type __wrap_", $name, ", @function"),
                concat!("__wrap_", $name, ":"),
                concat!("jmp *__signal_old_", $name, "@GOTPCREL(%rip)"),
                concat!(".size __wrap_", $name, ", . - __wrap_", $name),
            )*
            options(att_syntax)
        );
    };
}

// Keep in step with the list in `build.rs`.
trampolines! {
    "dlsym" = "GLIBC_2.2.5",
    "pthread_attr_getguardsize" = "GLIBC_2.2.5",
    "pthread_attr_getstack" = "GLIBC_2.2.5",
    "pthread_attr_setstacksize" = "GLIBC_2.2.5",
    "pthread_create" = "GLIBC_2.2.5",
    "pthread_detach" = "GLIBC_2.2.5",
    "pthread_getattr_np" = "GLIBC_2.2.5",
    "pthread_getspecific" = "GLIBC_2.2.5",
    "pthread_join" = "GLIBC_2.2.5",
    "pthread_key_create" = "GLIBC_2.2.5",
    "pthread_key_delete" = "GLIBC_2.2.5",
    "pthread_setname_np" = "GLIBC_2.12",
    "pthread_setspecific" = "GLIBC_2.2.5",
    "pthread_sigmask" = "GLIBC_2.2.5",
}

macro_rules! stat_trampolines {
    ($($name:literal = $old:literal,)*) => {
        std::arch::global_asm!(
            $(
                concat!(".symver __signal_old_", $old, ", ", $old, "@GLIBC_2.2.5"),
                concat!(".globl __wrap_", $name),
                concat!(".hidden __wrap_", $name),
                concat!(".type __wrap_", $name, ", @function"),
                concat!("__wrap_", $name, ":"),
                // f(file, buffer) becomes old(_STAT_VER_LINUX = 1, file, buffer).
                "mov %rsi, %rdx",
                "mov %rdi, %rsi",
                "mov $1, %edi",
                concat!("jmp *__signal_old_", $old, "@GOTPCREL(%rip)"),
                concat!(".size __wrap_", $name, ", . - __wrap_", $name),
            )*
            options(att_syntax)
        );
    };
}

stat_trampolines! {
    "stat64" = "__xstat64",
    "fstat64" = "__fxstat64",
    "lstat64" = "__lxstat64",
}
