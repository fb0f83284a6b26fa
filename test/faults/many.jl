# Many processes at once in one depot: no torn file, no deadlock, no waiting where packages are loaded.

@testset "30 at once" begin
    t = small()
    few = build(t.box, repr("Small"), SMALL_STATEMENTS[1:2]).library
    few_bytes = read(few)
    write(t.library, t.good)
    for round in 1:points(1, 10)
        builders = [start(t.box, build_script(isodd(i) ? SMALL_STATEMENTS : SMALL_STATEMENTS[1:2])) for i in 1:6]
        sessions = [start(t.box, i % 4 == 0 ? SMALL_STATUS : SMALL_SESSION) for i in 1:24]
        for started in sessions
            run = finish(started; limit = 300)
            @test startswith(run.out, SMALL_OUT)
            @test run.err == "" && run.code == 0 && !run.hung
            status = split(run.out, '\n')[2]
            # One library or the other, and never half of one.
            isempty(status) || @test status in ("5 ", "2 ")
        end
        for started in builders
            run = finish(started; limit = 300)
            @test run.out == "built" && run.err == "" && !run.hung
        end
        @test read(t.library) in (t.good, few_bytes)
        @test isempty(leftovers(t.box)) && isempty(processes_with(t.box.root))
    end
    # Nobody holds the store's lock any more.
    @test run_in(t.box, build_script()).out == "built" && read(t.library) == t.good
    remove(t.box)
end
