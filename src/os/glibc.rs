//! Lets the shared library load on glibc 2.31, wherever it was built.
//!
//! glibc 2.32 to 2.34 gave old functions new symbol versions, and a library linked against those
//! asks for them. The linker is told (in `build.rs`) to send calls of these functions to the
//! trampolines below, which jump to the versions that every x86-64 glibc has. `stat64` and its
//! relatives were not symbols before 2.33, so their trampolines go to the functions that the older
//! headers called.

macro_rules! trampolines {
    ($($name:literal to $old:literal @ $version:literal $(after $first:literal)?,)*) => {
        std::arch::global_asm!(
            $(
                concat!(".symver __signal_old_", $old, ", ", $old, "@", $version),
                concat!(".globl __wrap_", $name),
                concat!(".hidden __wrap_", $name),
                concat!(".type __wrap_", $name, ", @function"),
                concat!("__wrap_", $name, ":"),
                $($first,)?
                concat!("jmp *__signal_old_", $old, "@GOTPCREL(%rip)"),
                concat!(".size __wrap_", $name, ", . - __wrap_", $name),
            )*
            options(att_syntax)
        );
    };
}

// Keep in step with the list in `build.rs`. The code before the last three turns f(file, buffer)
// into old(_STAT_VER_LINUX = 1, file, buffer).
trampolines! {
    "dlopen" to "dlopen" @ "GLIBC_2.2.5",
    "dlsym" to "dlsym" @ "GLIBC_2.2.5",
    "pthread_attr_getguardsize" to "pthread_attr_getguardsize" @ "GLIBC_2.2.5",
    "pthread_attr_getstack" to "pthread_attr_getstack" @ "GLIBC_2.2.5",
    "pthread_attr_setstacksize" to "pthread_attr_setstacksize" @ "GLIBC_2.2.5",
    "pthread_create" to "pthread_create" @ "GLIBC_2.2.5",
    "pthread_detach" to "pthread_detach" @ "GLIBC_2.2.5",
    "pthread_getattr_np" to "pthread_getattr_np" @ "GLIBC_2.2.5",
    "pthread_getspecific" to "pthread_getspecific" @ "GLIBC_2.2.5",
    "pthread_join" to "pthread_join" @ "GLIBC_2.2.5",
    "pthread_key_create" to "pthread_key_create" @ "GLIBC_2.2.5",
    "pthread_key_delete" to "pthread_key_delete" @ "GLIBC_2.2.5",
    "pthread_setname_np" to "pthread_setname_np" @ "GLIBC_2.12",
    "pthread_setspecific" to "pthread_setspecific" @ "GLIBC_2.2.5",
    "pthread_sigmask" to "pthread_sigmask" @ "GLIBC_2.2.5",
    "pthread_testcancel" to "pthread_testcancel" @ "GLIBC_2.2.5",
    "pthread_tryjoin_np" to "pthread_tryjoin_np" @ "GLIBC_2.3.3",
    "stat64" to "__xstat64" @ "GLIBC_2.2.5" after "mov %rsi, %rdx; mov %rdi, %rsi; mov $1, %edi",
    "fstat64" to "__fxstat64" @ "GLIBC_2.2.5" after "mov %rsi, %rdx; mov %rdi, %rsi; mov $1, %edi",
    "lstat64" to "__lxstat64" @ "GLIBC_2.2.5" after "mov %rsi, %rdx; mov %rdi, %rsi; mov $1, %edi",
}
