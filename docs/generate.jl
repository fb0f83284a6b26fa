# Writes the pages of docs/reference that come from the code: functions from docstrings; settings, reasons
# and the command line from their tables. Run `julia docs/generate.jl`; test/docs.jl compares the result.

module Pages

using NativeCache
const N = NativeCache

const GENERATED = "<!-- written by docs/generate.jl; change the source instead -->\n\n"

# In the order of the page.
const FUNCTIONS = ["Build" => [:build, :BuildResult, :BuildResults, :Source, :MethodItem], "Profiles" => [:profile, :Profile, :Layer, :trace!, :Trace, :drop!],
    "Scripts" => [:include, :ScriptResult, :ScriptStatus, :ScriptPartStatus], "Staying fresh" => [:stale, :update!],
    "See" => [:status, :Status, :LayerStatus, :libraries, :json], "Why not" => [:explain, Symbol("@explain"), :Story, :LibraryStory, :CodeStory, :reason, :reasons],
    "Where the time goes" => [:report, :LatencyReport, :Latency, :Uncached, :PackageGain], "Check" => [:verify, :Verification],
    "Clean up" => [:gc!, :clear!, :Removals, :Removal], "Settings and command line" => [:settings, :Setting, :set!, :main]]

"The docstrings of a name, as text."
function docstrings(name)
    found = get(Base.Docs.meta(N), Base.Docs.Binding(N, name), nothing)
    found === nothing && return String[]
    return [join(found.docs[signature].text) for signature in found.order]
end

anchor(name) = lowercase(replace(replace(string(name), r"[^A-Za-z0-9_]" => ""), " " => "-"))

"Links between docstrings become links on the page."
linked(text) = replace(text, r"\[`([^`]*)`\]\(@ref(?: NativeCache\.(\w+))?\)" =>
    found -> (m = match(r"\[`([^`]*)`\]\(@ref(?: NativeCache\.(\w+))?\)", found);
        "[`$(m[1])`](#$(anchor(m[2] === nothing ? m[1] : string("NativeCache.", m[2]))))"))

function functions()
    io = IOBuffer()
    print(io, "# Functions\n\n", GENERATED, "Nothing is exported: write `NativeCache.build`, or `import NativeCache: build`.\n")
    for (title, names) in FUNCTIONS
        print(io, "\n## ", title, "\n")
        for name in names
            texts = docstrings(name)
            isempty(texts) && continue
            print(io, "\n### NativeCache.", name, "\n\n")
            print(io, join((replace(linked(rstrip(lstrip(text, '\n'))), r"^#+ (.*)$"m => s"**\1**") for text in texts), "\n\n"), "\n")
        end
    end
    return String(take!(io))
end

cell(text) = replace(text, '|' => "\\|")

function settings()
    io = IOBuffer()
    print(io, "# Settings\n\n", GENERATED, """
        The first of these places that names a setting wins: a keyword of the function; the environment; `NativeCache.toml`
        beside the active project's `Project.toml`; `config/NativeCache.toml` in a depot, the first depot first; the default.
        A file has lines like `linker = "clang"`. `NativeCache.settings()` shows every value and where it comes from. If there
        are mistakes, it throws an error that names each of them. Loading never fails because of a mistake: it uses the default.

        | setting | in the environment | default | value | meaning |
        |---|---|---|---|---|
        """)
    for (name, default, kind, meaning) in N.SETTINGS
        println(io, "| `", name, "` | `", N.variable(name), "` | `", default, "` | ", N.expected(kind), " | ", cell(meaning), " |")
    end
    return String(take!(io))
end

const STAGES = (:library => "A whole library is not used", :build => "A method is not put into a library",
    :load => "A method of a library is not installed", :session => "No library has the method")

function reasons()
    io = IOBuffer()
    print(io, "# Reasons\n\n", GENERATED, """
        Why a library or a method is not used, in the words of `NativeCache.explain`, and what to do about it. The table is in
        `rust/store/src/reason.rs`. The numbers are part of library files and never change.
        """)
    all = N.reasons()
    for (stage, title) in STAGES
        print(io, "\n## ", title, "\n\n| | reason | it means | what to do |\n|---|---|---|---|\n")
        for reason in all
            reason.stage === stage && println(io, "| ", reason.code, " | `", reason.name, "` | ", cell(reason.text), " | ", cell(reason.advice), " |")
        end
    end
    return String(take!(io))
end

command_line() = string("# Command line\n\n", GENERATED, "`bin/nativecache` is in the clone. This is the output of `nativecache --help`:\n\n",
    "```text\n", N.USAGE, "```\n")

# ---- the chart of the README, from its table ----

seconds(text) = (m = match(r"^([0-9.]+) (m?s)$", text); parse(Float64, m[1]) / (m[2] == "ms" ? 1000 : 1))

"Package, seconds without the cache and with it, of each row of the README's table."
measured() = [(String(m[1]), seconds(m[2]), seconds(m[3])) for m in
    eachmatch(r"^\| (\w+) \| ([0-9.]+ m?s) → ([0-9.]+ m?s) \|"m, read(joinpath(dirname(@__DIR__), "README.md"), String))]

"Two bars for each package. Colours that colour-blind people can tell apart; numbers beside the bars."
function chart()
    rows = measured()
    longest = maximum(row[2] for row in rows)
    width(value) = round(430 * value / longest; digits = 1)
    text(value) = value < 1 ? string(round(Int, 1000 * value), " ms") : string(value, " s")
    io = IOBuffer()
    height = 50 * length(rows) + 34
    print(io, """
        <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 $height" width="640" height="$height" role="img" aria-labelledby="title">
        <!-- written by docs/generate.jl from the table in README.md -->
        <title id="title">Seconds of a first session: $(join(("$name $(text(without)) without the cache, $(text(with)) with it" for (name, without, with) in rows), "; "))</title>
        <style>text { font: 14px system-ui, sans-serif; fill: #1b1f24; } .without { fill: #d55e00; } .with { fill: #009e73; }
        @media (prefers-color-scheme: dark) { text { fill: #e6edf3; } }</style>
        <rect class="without" x="110" y="6" width="14" height="14"/><text x="130" y="18">without the cache</text>
        <rect class="with" x="270" y="6" width="14" height="14"/><text x="290" y="18">with it</text>
        """)
    for (number, (name, without, with)) in enumerate(rows)
        top = 50 * number - 16
        print(io, """
            <text x="100" y="$(top + 22)" text-anchor="end">$name</text>
            <rect class="without" x="110" y="$top" width="$(width(without))" height="15"/><text x="$(116 + width(without))" y="$(top + 13)">$(text(without))</text>
            <rect class="with" x="110" y="$(top + 18)" width="$(width(with))" height="15"/><text x="$(116 + width(with))" y="$(top + 31)">$(text(with))</text>
            """)
    end
    print(io, "</svg>\n")
    return String(take!(io))
end

const PAGES = ["../first-session.svg" => chart, "api.md" => functions, "settings.md" => settings, "reasons.md" => reasons, "command-line.md" => command_line]

write_all() = for (name, page) in PAGES
    write(joinpath(@__DIR__, "reference", name), page())
end

end

abspath(PROGRAM_FILE) == @__FILE__() && Pages.write_all()
