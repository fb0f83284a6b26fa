# What a build shows while it runs: one line on a terminal, nothing elsewhere.

mutable struct Progress
    shown::Bool
    text::String
    since::Float64
    last::Float64
end

function Progress(quiet::Bool)
    wanted = setting("progress")
    shown = !quiet && (wanted == "yes" ||
        (wanted == "auto" && stderr isa Base.TTY && get(ENV, "CI", "") in ("", "false", "0")))
    return Progress(shown, "", time(), 0.0)
end

function update(progress::Progress, text::AbstractString)
    progress.text = text
    progress.last = 0.0
    tick(progress)
end

function tick(progress::Progress)
    progress.shown || return nothing
    now = time()
    now - progress.last < 0.2 && return nothing
    progress.last = now
    width = displaysize(stderr)[2]
    line = string("NativeCache: ", progress.text, ", ", round(Int, now - progress.since), " s")
    length(line) >= width && (line = first(line, width - 1))
    print(stderr, "\r\e[K", line)
    return nothing
end

function done(progress::Progress)
    progress.shown && print(stderr, "\r\e[K")
    return nothing
end
