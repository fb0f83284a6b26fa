# What a build shows while it runs: on a terminal one line with stage, methods done of all, the
# current one, elapsed time and an estimate; in a log one line for each stage; with `quiet` nothing.

mutable struct Progress
    mode::Symbol                # :line, :log or :none
    stage::String               # of the journal
    text::String                # what is being done, in words
    detail::String              # the current method
    finished::Float64           # weight of the stages that are done
    fraction::Float64           # of the current one that is done; NaN if it does not say
    since::Float64
    stage_since::Float64
    last::Float64
    read::Int                   # bytes of the journal
end

# Stages in their order with their words, and the seconds that each took for 300 methods of
# Markdown: what the estimate of the rest goes by, scaled with the time that passed so far.
const STAGES = (("load", "loading packages", 2.5), ("statement", "looking up methods", 0.3),
    ("infer", "inferring types", 4.5), ("emit", "generating code", 1.1), ("optimise", "compiling", 7.5), ("link", "linking", 0.4))

Progress(mode::Symbol) = Progress(mode, "", "", "", 0.0, NaN, time(), time(), 0.0, 0)

function Progress(quiet::Bool)
    wanted = setting("progress")
    terminal = stderr isa Base.TTY && !under_ci()
    mode = quiet || !wanted ? :none : terminal ? :line : :log
    return Progress(mode)
end

"Something that is no stage of the worker: what the build is at, in words."
function update(progress::Progress, text::AbstractString)
    progress.stage, progress.text, progress.detail, progress.fraction = "", text, "", NaN
    progress.stage_since = time()
    progress.last = 0.0
    progress.mode === :log && println(stderr, "NativeCache: ", text)
    tick(progress)
end

"Read on in the worker's journal: a stage that was short is not left out."
function follow!(progress::Progress, journal::String, statements::Vector{String})
    text = read(journal, String)
    sizeof(text) < progress.read && (progress.read = 0)        # a new worker, a new journal
    for line in split(SubString(text, 1 + progress.read), '\n'; keepempty = false)
        words = split(line)
        isempty(words) || step!(progress, String(words[1]), length(words) < 2 ? 0 : something(tryparse(Int, words[2]), 0), statements)
    end
    progress.read = sizeof(text)
    return nothing
end

"The worker is at this step of its journal; `number` is the method in `statements`, or 0."
function step!(progress::Progress, step::String, number::Int, statements::Vector{String})
    at = findfirst(stage -> stage[1] == step, STAGES)
    if at === nothing
        tick(progress)
        return nothing
    end
    if progress.stage != step
        progress.stage, progress.text, progress.stage_since = step, STAGES[at][2], time()
        progress.finished = weight_of(STAGES[1:at-1])
        progress.last = 0.0
        progress.mode === :log && println(stderr, "NativeCache: ", lpad(elapsed_text(progress), 6), "  ", STAGES[at][2],
            step == "infer" ? " of $(methods_text(length(statements)))" : "")
    end
    progress.detail = ""
    progress.fraction = NaN
    if 1 <= number <= length(statements)
        progress.detail = statements[number]
        progress.fraction = (number - 1) / length(statements)
        progress.text = string(STAGES[at][2], " ", number, "/", length(statements))
    end
    tick(progress)
end

weight_of(stages) = foldl((sum, stage) -> sum + stage[3], stages; init = 0.0)

elapsed_text(progress::Progress) = string(round(Int, time() - progress.since), " s")

"Seconds that are left, by the weight of what is done, or NaN while too little is done to say."
function estimate(progress::Progress, now = time())
    at = findfirst(stage -> stage[1] == progress.stage, STAGES)
    at === nothing && return NaN
    weight, all = STAGES[at][3], weight_of(STAGES)
    elapsed, in_stage = now - progress.since, now - progress.stage_since
    fraction = progress.fraction
    if isnan(fraction)      # it does not say: by the pace of the stages before it, never quite done
        pace = progress.finished > 0 ? (elapsed - in_stage) / progress.finished : 1.0
        fraction = min(0.9, in_stage / max(weight * pace, 1e-3))
    end
    share = (progress.finished + fraction * weight) / all
    return share < 0.15 ? NaN : elapsed * (1 - share) / share
end

function tick(progress::Progress)
    progress.mode === :line || return nothing
    now = time()
    now - progress.last < 0.2 && return nothing
    progress.last = now
    left = estimate(progress, now)
    line = string("NativeCache: ", progress.text, ", ", elapsed_text(progress),
        isnan(left) ? "" : string(", about ", ceil(Int, left), " s left"))
    width = displaysize(stderr)[2] - 1
    room = width - textwidth(line) - 2
    if room > 10 && !isempty(progress.detail)
        detail = progress.detail
        line = string(line, "  ", textwidth(detail) <= room ? detail : string(first(detail, room - 1), "…"))
    end
    print(stderr, "\r\e[K", textwidth(line) > width ? first(line, width) : line)
    return nothing
end

function done(progress::Progress)
    progress.mode === :line && print(stderr, "\r\e[K")
    return nothing
end
