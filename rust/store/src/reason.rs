//! Why a library, or a method in it, is not used: one table for all crates, and for the texts that users see.

/// When a reason arises.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// A whole library is not linked.
    Library,
    /// A method is not put into a library.
    Build,
    /// A function of a library is not installed.
    Load,
    /// No library has the method.
    Session,
}

macro_rules! reasons {
    ($($stage:ident { $($code:literal $name:ident: $text:literal, $advice:literal;)* })*) => {
        /// Why a library or a method is not used. Codes are part of the file format: append, never renumber.
        /// 110, 211, 213 and 307 belonged to reasons that no longer exist.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u16)]
        pub enum Reason {
            $($(#[doc = $text] $name = $code,)*)*
        }

        impl Reason {
            /// Every reason, by code.
            pub const ALL: &'static [Reason] = &[$($(Reason::$name,)*)*];

            /// Its number in files and across the C boundary.
            #[must_use]
            pub const fn code(self) -> u16 {
                self as u16
            }

            /// The reason with this number.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Reason> {
                match code {
                    $($($code => Some(Reason::$name),)*)*
                    _ => None,
                }
            }

            /// Its name, for logs and tests.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $($(Reason::$name => stringify!($name),)*)*
                }
            }

            /// When it arises.
            #[must_use]
            pub const fn stage(self) -> Stage {
                match self {
                    $($(Reason::$name => Stage::$stage,)*)*
                }
            }

            /// What happened, in one line.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self {
                    $($(Reason::$name => $text,)*)*
                }
            }

            /// What to do about it, in one line.
            #[must_use]
            pub const fn advice(self) -> &'static str {
                match self {
                    $($(Reason::$name => $advice,)*)*
                }
            }
        }
    };
}

reasons! {
    Library {
        100 NotFound: "there is no library for this version of the package",
            "build one with NativeCache.build";
        101 Unreadable: "the library file cannot be read",
            "check the permissions of the file and of its folder";
        102 Truncated: "the library file is truncated",
            "build the library again; check that the disk is not full";
        103 BadMagic: "the file is not a NativeCache library",
            "remove the file and build the library again";
        104 FormatVersion: "the library was written by a NativeCache with another file format",
            "build the library again with this NativeCache";
        105 HashMismatch: "the library's content is damaged",
            "build the library again; if it happens often, check the disk";
        106 Malformed: "the library's tables contradict themselves",
            "build the library again and report this as a bug of NativeCache";
        107 KeyDiffers: "the library was built for another Julia, sysimage or set of flags",
            "build the library in a session started like this one";
        108 CpuFeatures: "the library needs CPU features that this machine lacks",
            "build the library on this machine";
        109 PackageBuild: "a package that the library refers to has been precompiled again since",
            "build the library again";
        111 LinkFailed: "the system could not load the library",
            "the detail has the loader's message; build the library again";
        112 SymbolMissing: "the library lacks a symbol that every library must have",
            "build the library again; if that does not help, report this as a bug of NativeCache";
        113 Disabled: "NativeCache is switched off",
            "unset JULIA_NATIVECACHE or set it to on";
        114 GeneratingOutput: "Julia is writing a package image or sysimage, where cached code does not belong",
            "nothing: ordinary sessions use the library";
        115 Coverage: "this session measures code coverage, which cached code does not support",
            "run without --code-coverage to use the library";
        116 AllocationTracking: "this session tracks allocations, which cached code does not support",
            "run without --track-allocation to use the library";
        117 CompileMode: "this session runs with --compile=min, no or all",
            "run with --compile=yes, the default, to use the library";
        118 Untrusted: "the file or a folder above it can be written by other users",
            "remove their write permission (chmod go-w) and build the library again";
        119 NotLoaded: "the package is not loaded in this session",
            "load it: its library is linked at that moment";
        120 BuiltLater: "the library was built after the package was loaded in this session",
            "start a new session: it will use the library";
        121 NotStarted: "NativeCache was not started in this process",
            "start a new session; if that does not help, run Pkg.build(\"NativeCache\")";
        122 StartFailed: "NativeCache could not start in this session",
            "the detail says why; run Pkg.build(\"NativeCache\"), and report this if that does not help";
        123 Unproved: "verify mode: the library could not be built again for the comparison",
            "the detail says what failed; build the library again, or leave verify mode";
        124 Replaced: "the library was replaced while it was being linked",
            "nothing: the next session links the new one";
        125 ThreadState: "in this process a thread's state has no constant offset, which code in libraries needs",
            "write JULIA_DEFINE_FAST_TLS() in the program that embeds Julia, as its manual says";
        126 NoImages: "this session keeps no native code: --pkgimages=no or --compiled-modules=no",
            "start Julia without these flags";
    }
    Build {
        200 NoSuchMethod: "the statement does not name a method that exists here",
            "load the packages that it names before the build, or remove it from the profile";
        201 NamesMain: "it refers to something in Main, which no other session has",
            "move the type or function into a package";
        202 InSysimage: "it is already compiled in the sysimage",
            "nothing: it needs no cache";
        203 NotInferred: "type inference gave no result for it",
            "the detail has the message of inference; call the method once to see whether it works at all";
        204 GeneratedFunction: "it is a generated function whose body may differ in another session",
            "nothing: it is compiled in each session";
        205 UnknownAddress: "its code contains an address whose meaning is unknown",
            "report this with the detail: it may be made cacheable";
        206 UnknownConstant: "its code contains a mutable object that another session cannot find",
            "bind the object to a constant in a package";
        207 IntegerAddress: "its code contains a plain integer that is an address of the build process",
            "replace a constant Ptr by a Ref that __init__ fills";
        208 UnknownForeignCall: "it calls a C function whose library or name is unknown",
            "use ccall with a constant (name, library) pair";
        209 CompilerThrew: "Julia's compiler threw an exception when it compiled the method",
            "the detail has the message; report this to Julia if it also happens with a newer version";
        210 CompilerAborted: "Julia's compiler aborted the build process when it compiled the method",
            "nothing: everything else was built; report this to Julia if it also happens with a newer version";
        212 ConstantResult: "its result is a constant, so there is nothing to compile",
            "nothing: it needs no cache";
        214 OpaqueModule: "it belongs to a module that another session cannot find",
            "define it in a package, not in a module made at run time";
        215 UnknownObject: "it refers to an object of a kind that NativeCache cannot describe",
            "report this with the detail: it may be made cacheable";
        216 EdgesUnknown: "its dependencies could not be determined completely",
            "report this with the detail: it may be made cacheable";
        217 ForeignCallback: "it makes a C callback, which is bound to the build process",
            "nothing: it is compiled in each session";
        218 CompiledAtStart: "it is compiled while Julia starts or the package loads, before a library can be linked",
            "nothing: a session needs it before it can link a library";
        219 BuildFailed: "the whole build failed",
            "the detail says why; fix that and build again (the old library is still in place)";
        220 InferredCode: "NativeCache could not describe its inferred code, which callers inline",
            "report this with the detail: it may be made cacheable";
        221 MadeAtInit: "it uses a global that an __init__ function creates, which may differ in each session",
            "let __init__ fill a Ref instead of binding a constant";
        224 PureFunction: "it depends on the result of a pure function, which may differ in another session",
            "use @pure only for functions that read no state";
        225 NoTypeExpression: "the statement is not a type expression, or names something that does not exist",
            "the detail says which part; statements that NativeCache's own tracer writes can be read";
        226 NotCompiled: "Julia did not compile it: its arguments are too abstract, or several methods match",
            "give concrete argument types";
        227 AlreadyNative: "an image already has its native code",
            "nothing: it needs no cache";
    }
    Load {
        300 PackageMissing: "it waits for a package that is not loaded",
            "load the package: it is then installed";
        301 Unresolved: "it refers to something that this session does not have",
            "build the library again";
        302 AlreadyCompiled: "this session had compiled it before the library was linked",
            "load NativeCache earlier, for example in startup.jl";
        303 ReturnTypeDiffers: "this session infers another return type for it",
            "build the library again in a session like this one";
        304 EdgeChanged: "a method that it depends on has changed, or a call now reaches another method",
            "build the library again with the packages that this session has loaded";
        305 DependsOnRejected: "it relies on code of the library that was not installed",
            "see the reason of the method in the detail";
        306 Redefined: "a method that it depends on was redefined in this session before the library was linked",
            "load NativeCache earlier, or build the library again if you keep the new method";
        308 Invalidated: "a definition made in this session after it was installed has invalidated it",
            "nothing now: Julia compiles it again; build the library again if you keep that definition";
        309 Different: "verify mode: compiling it again gave a different result",
            "report this with the detail as a bug of NativeCache; it is compiled in each session";
        312 ConstantChanged: "a constant that it depends on was rebound in this session",
            "load NativeCache earlier, or use a Ref for a value that changes";
        313 NotInImage: "Julia's image writer did not keep its code",
            "nothing: Julia drops code that it cannot relocate, and each session compiles the method";
        314 NotUsedHere: "the last sessions of this project have loaded it and run none of its code",
            "nothing: it is back once a session has compiled what it holds, or NativeCache.build was called";
    }
    Session {
        400 NotRequested: "it was not requested for any library",
            "build again from a script, a test suite or the trace of a session that calls it";
        401 AskedLater: "its profile asks for it, but the library is older than this entry",
            "build the library again with NativeCache.build(package)";
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}
