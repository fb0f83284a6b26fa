# Writes the pages of docs/reference that come from the code: functions from docstrings, settings,
# reasons and the command line from their tables. `julia docs/generate.jl`; test/docs.jl compares.

module Pages

using NativeCache
const N = NativeCache

const GENERATED = "<!-- written by docs/generate.jl; change the source instead -->\n\n"

# In the order of the page.
const FUNCTIONS = ["Build" => [:build, :BuildResult, :BuildResults, :Source, :MethodItem], "Profiles" => [:profile, :Profile, :Layer, :trace!, :Trace, :drop!],
    "Staying fresh" => [:stale, :update!],
    "See" => [:status, :Status, :LayerStatus, :libraries, :json], "Why not" => [:explain, Symbol("@explain"), :Story, :LibraryStory, :CodeStory, :reason, :reasons],
    "Where the time goes" => [:report, :LatencyReport, :Latency, :Uncached, :PackageGain], "Check" => [:verify, :Verification],
    "Clean up" => [:gc!, :clear!, :Removals, :Removal], "Settings and command line" => [:settings, :Setting, :main]]

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
            print(io, join((replace(linked(strip(text)), r"^#+ (.*)$"m => s"**\1**") for text in texts), "\n\n"), "\n")
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
        A file has lines like `linker = "clang"`. `NativeCache.settings()` shows every value and where it came from, and is an
        error that names each mistake. Loading never fails because of one: it takes the default.

        | setting | in the environment | default | value | meaning |
        |---|---|---|---|---|
        """)
    for (name, default, kind, meaning) in N.SETTINGS
        println(io, "| `", name, "` | `", N.variable(name), "` | `", default, "` | ", N.expected(kind), " | ", cell(meaning), " |")
    end
    return String(take!(io))
end

const STAGES = (:library => "A whole library is not used", :build => "A method does not get into a library",
    :load => "A method of a library is not installed", :session => "No library has a method")

function reasons()
    io = IOBuffer()
    print(io, "# Reasons\n\n", GENERATED, """
        Why a library or a method is not used, in the words that `NativeCache.explain` says it in, and what to do about it. The
        table is `rust/image/src/reason.rs`; the code stands in library files and never changes.
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

command_line() = string("# Command line\n\n", GENERATED, "`bin/nativecache` in the clone; what `nativecache --help` says:\n\n",
    "```text\n", N.USAGE, "```\n")

const PAGES = ["api.md" => functions, "settings.md" => settings, "reasons.md" => reasons, "command-line.md" => command_line]

write_all() = for (name, page) in PAGES
    write(joinpath(@__DIR__, "reference", name), page())
end

end

abspath(PROGRAM_FILE) == @__FILE__() && Pages.write_all()
