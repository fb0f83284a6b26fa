//! Why a library, or a method in it, is not used: one table for every crate, and for what the user is told.

/// When a reason arises.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// A whole library is not linked.
    Library,
    /// A method does not get into a library.
    Build,
    /// A function of a library is not installed.
    Load,
    /// Nobody asked for a method, so no library has it.
    Session,
}

macro_rules! reasons {
    ($($stage:ident { $($code:literal $name:ident: $text:literal, $advice:literal;)* })*) => {
        /// Why a library or a method is not used. Codes are part of the file format: append, never renumber.
        /// 110, 211, 213 and 307 were given to reasons that nothing has any more.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[repr(u16)]
        pub enum Reason {
            $($(#[doc = $text] $name = $code,)*)*
        }

        impl Reason {
            /// Every reason, by code.
            pub const ALL: &'static [Reason] = &[$($(Reason::$name,)*)*];

            /// The number that stands in files and crosses the C boundary.
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
        102 Truncated: "the library file is cut short",
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
            "build the library again; if it stays, report this as a bug of NativeCache";
        113 Disabled: "NativeCache is switched off",
            "unset JULIA_NATIVECACHE or set it to on";
        114 GeneratingOutput: "Julia is writing a package image or sysimage, where cached code does not belong",
            "nothing: ordinary sessions use the library";
        115 Coverage: "code coverage is being measured, which cached code does not do",
            "run without --code-coverage to use the library";
        116 AllocationTracking: "allocations are being tracked, which cached code does not do",
            "run without --track-allocation to use the library";
        117 CompileMode: "this session runs with --compile=min, no or all",
            "run with --compile=yes, the default, to use the library";
        118 Untrusted: "the file or a folder above it can be written by other users",
            "take the right to write from them (chmod go-w) and build the library again";
        119 NotLoaded: "the package is not loaded in this session",
            "load it: its library is linked at that moment";
        120 BuiltLater: "the library was built after the package was loaded in this session",
            "start a new session: it will have it";
        121 NotStarted: "NativeCache was not started in this process",
            "start a new session; if it stays, run Pkg.build(\"NativeCache\")";
        122 StartFailed: "NativeCache could not start in this session",
            "the detail says why; run Pkg.build(\"NativeCache\"), and report it if it stays";
        123 Unproved: "verify mode: the library could not be built anew to compare it",
            "the detail says what failed; build the library again, or leave verify mode";
        124 Replaced: "the library was replaced while it was being linked",
            "nothing: the next session links the new one";
        125 ThreadState: "a thread's state lies at no constant offset in this process, as code of libraries takes for granted",
            "write JULIA_DEFINE_FAST_TLS() in the program that embeds Julia, as its manual says";
        126 NoImages: "this session keeps no native code: --pkgimages=no or --compiled-modules=no",
            "start Julia without these flags";
    }
    Build {
        200 NoSuchMethod: "the statement does not name a method that exists here",
            "load the packages that it names before the build, or drop it from the profile";
        201 NamesMain: "it names things of Main, which no other session has",
            "move the type or function into a package";
        202 InSysimage: "it is already compiled in the sysimage",
            "nothing: it needs no cache";
        203 NotInferred: "type inference gave no result for it",
            "the detail has what inference said; call it once to see whether it runs at all";
        204 GeneratedFunction: "it is a generated function whose body may differ in another session",
            "nothing: it is compiled in each session";
        205 UnknownAddress: "its code holds an address whose meaning is not known",
            "report this with the detail: it may be made cacheable";
        206 UnknownConstant: "its code holds a mutable object that cannot be found again in another session",
            "bind the object to a constant in a package";
        207 IntegerAddress: "its code holds a plain integer that is an address of the build process",
            "replace a constant Ptr by a Ref that __init__ fills";
        208 UnknownForeignCall: "it calls a C function whose library or name is not known",
            "use ccall with a constant (name, library) pair";
        209 CompilerThrew: "Julia's compiler threw an exception on it",
            "the detail has the message; report it to Julia if it stays in a newer version";
        210 CompilerAborted: "Julia's compiler aborted the build process on it",
            "nothing here: the rest was built; report it to Julia if it stays in a newer version";
        212 ConstantResult: "its result is a constant, so there is nothing to compile",
            "nothing: it needs no cache";
        214 OpaqueModule: "it belongs to a module that cannot be found again in another session",
            "define it in a package, not in a module made at run time";
        215 UnknownObject: "it refers to an object of a kind that cannot be described",
            "report this with the detail: it may be made cacheable";
        216 EdgesUnknown: "what it depends on could not be found out completely",
            "report this with the detail: it may be made cacheable";
        217 ForeignCallback: "it makes a C callback, which is bound to the build process",
            "nothing: it is compiled in each session";
        218 CompiledAtStart: "it is compiled while Julia starts or the package loads, before a library can be linked",
            "nothing: a session needs it before there is anything to take it from";
        219 BuildFailed: "the build as a whole came to nothing",
            "the detail says why: mend that and build again; the old library is still in place";
        220 InferredCode: "its inferred code, which callers inline, could not be described",
            "report this with the detail: it may be made cacheable";
        221 MadeAtInit: "it uses a global that an __init__ function makes, which may be another one in each session",
            "let __init__ fill a Ref instead of binding a constant";
        224 PureFunction: "it rests on the result of a pure function that may say something else in another session",
            "declare pure only what reads no state, or leave out @pure";
        225 NoTypeExpression: "the statement is no type expression, or names something that is not there",
            "the detail says which part; statements that NativeCache's own tracer writes can be read";
        226 NotCompiled: "Julia did not compile it: its arguments are too abstract, or several methods match",
            "give concrete argument types";
        227 AlreadyNative: "an image has its native code already",
            "nothing needs to be done";
    }
    Load {
        300 PackageMissing: "it waits for a package that is not loaded",
            "load the package: it is then installed";
        301 Unresolved: "something that it refers to could not be found in this session",
            "build the library again";
        302 AlreadyCompiled: "this session had compiled it before the library was linked",
            "load NativeCache earlier, for example in startup.jl";
        303 ReturnTypeDiffers: "this session infers another return type for it",
            "build the library again in a session like this one";
        304 EdgeChanged: "a method that it depends on has changed or a new one takes its place",
            "build the library again with the packages that this session has loaded";
        305 DependsOnRejected: "it relies on code of the library that was not installed",
            "see the reason of the method in the detail";
        306 Redefined: "a method that it depends on was redefined in this session before the library was linked",
            "load NativeCache earlier, or build the library again if the new method is to stay";
        308 Invalidated: "a definition made in this session after it was installed has invalidated it",
            "nothing now: Julia compiles it anew; build again if that definition is to stay";
        309 Different: "verify mode: it came out differently when it was compiled anew",
            "report this with the detail as a bug of NativeCache; it is compiled in each session";
        312 ConstantChanged: "a constant that it depends on was bound anew in this session",
            "load NativeCache earlier, or use a Ref for what is to change";
        313 NotInImage: "Julia's image writer did not keep its code",
            "nothing can be done: Julia drops code that it cannot relocate; the method is compiled as ever";
        314 NotUsedHere: "the last sessions of this project have loaded it and run none of its code",
            "nothing: it is back once a session has compiled what it holds, or NativeCache.build was called";
    }
    Session {
        400 NotRequested: "no library was asked to hold it",
            "build again with a script, test suite or trace of a session that calls it";
        401 AskedLater: "its profile asks for it, but the library is older than that",
            "build the library again: NativeCache.build with nothing but the package";
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}
