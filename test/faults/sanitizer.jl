# The C boundary under AddressSanitizer: sessions and a build with libraries that `julia deps/build.jl sanitize` made.

const SANITIZED = joinpath(ROOT, "target", "asan", "lib")
isdir(SANITIZED) || error("run `julia deps/build.jl sanitize` first")

"A NativeCache like this one with the libraries in `SANITIZED`, and the environment of a session that can load them."
function sanitized(folder)
    for name in ("src", "Project.toml", "NativeCache.jl")
        symlink(joinpath(ROOT, name), joinpath(folder, name))
    end
    mkpath(joinpath(folder, "deps"))
    symlink(SANITIZED, joinpath(folder, "deps", "lib"))
    # The sanitizer refuses RTLD_DEEPBIND, with which Julia loads its own libraries; and these are found through the
    # folder of the library that asks, which is then another one.
    source, shallow = joinpath(folder, "shallow.c"), joinpath(folder, "shallow.so")
    write(source, """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        void *dlopen(const char *path, int flags) {
            void *(*real)(const char *, int) = (void *(*)(const char *, int))dlsym(RTLD_NEXT, "dlopen");
            return real(path, flags & ~RTLD_DEEPBIND);
        }
        """)
    run(`cc -shared -fPIC -o $shallow $source -ldl`)
    lib = joinpath(dirname(Sys.BINDIR), "lib")
    places = [lib, joinpath(lib, "$(Sys.ARCH)-linux-gnu"), joinpath(lib, "$(Sys.ARCH)-linux-gnu", "julia"), joinpath(lib, "julia")]
    # Julia uses SIGSEGV itself, and its objects are not the sanitizer's to count.
    options = "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:" *
        "allow_user_segv_handler=1:detect_stack_use_after_return=0:use_sigaltstack=0:verify_asan_link_order=0"
    return ["LD_PRELOAD" => string(shallow, ' ', readchomp(`cc -print-file-name=libasan.so`)),
        "LD_LIBRARY_PATH" => join(places, ':'), "ASAN_OPTIONS" => options]
end

"Run it; nothing was found."
function clean(box, script, env, root)
    load_path = join([box.packages, root, "@stdlib"], ':')
    run = run_in(box, script; env = [env; "JULIA_LOAD_PATH" => load_path])
    @test !occursin("ERROR: AddressSanitizer", run.err)
    run.code == 0 && !occursin("ERROR", run.err) || println(run.err)
    @test run.code == 0 && !run.hung
    return run
end

@testset "sessions and a build" begin
    root = mktempdir(; prefix = "sanitized")
    env = sanitized(root)
    box = copy_depot(Box(TEMPLATE.box.packages))
    rm(joinpath(box.depot, "compiled", "v1.5", "NativeCache"); recursive = true)    # of another folder
    library = joinpath(box.depot, relpath(TEMPLATE.library, TEMPLATE.box.depot))
    # It is the sanitizer's library that is loaded, and a mistake would be seen.
    run = clean(box, """
        using NativeCache, Libdl
        print(any(path -> occursin("asan", realpath(path)), filter(ispath, dllist())), " ", occursin("sanitized", NativeCache.LIBRARY))
        """, env, root)
    @test run.out == "true true"
    run = clean(box, SMALL_STATUS * """
        NativeCache.trace!()
        NativeCache.explain("Small")
        show(devnull, MIME("text/plain"), NativeCache.status())
        NativeCache.gc!(dry_run = true)
        try error("x") catch; stacktrace(catch_backtrace()) end
        NativeCache.profile("Small")
        """, env, root)
    @test startswith(run.out, string(SMALL_OUT, length(SMALL_STATEMENTS), " "))
    damage = replace(replace(replace(DAMAGE, "GOOD" => repr(library)), "TRUNCATIONS" => 3000), "FLIPS" => 10_000)
    run = clean(box, damage, env, root)
    @test occursin(" true none", run.out)
    run = clean(box, build_script(FEW), env, root)
    @test run.out == "built"
    run = clean(box, SMALL_SESSION, env, root)
    @test run.out == SMALL_OUT
    rm(root; recursive = true)
    remove(box)
end
