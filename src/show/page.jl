# The page that `report` writes: one file with everything in it, no script, no network. Charts are
# plain HTML, so that text stays readable in a narrow window; each has its numbers in a table below.

escape_html(text) = replace(replace(replace(replace(string(text), '&' => "&amp;"), '<' => "&lt;"), '>' => "&gt;"), '"' => "&quot;")

# Colours of Okabe and Ito, which colour-blind people can tell apart; in a bar, neighbours also have a
# gap between them, and each phase keeps its place.
const PAGE_STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1b1f24; --quiet: #59636e; --line: #d1d9e0; --panel: #f6f8fa;
  --start: #8a8f98; --loading: #56b4e9; --linking: #009e73; --inference: #d55e00; --generation: #e69f00; --run: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --back: #12161b; --text: #e6edf3; --quiet: #9aa5b1; --line: #343c46;
  --panel: #1a2027; --start: #9aa0a8; --run: #3d9ad6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.2rem; margin: 2.5rem 0 .75rem; }
p { margin: .4rem 0; } .quiet { color: var(--quiet); font-size: .9rem; }
.headline { font-size: 1.15rem; } .headline strong { font-size: 1.6rem; }
.bars { display: grid; grid-template-columns: max-content 1fr; gap: .5rem .75rem; align-items: center; margin: 1rem 0; }
.bar { display: flex; height: 2.1rem; } .bar span { display: block; min-width: 1px; border-right: 2px solid var(--back); overflow: hidden;
  font-size: .78rem; line-height: 2.1rem; text-align: center; color: #10141a; white-space: nowrap; }
.bar span:last-child { border-right: 0; }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; padding: 0; margin: .5rem 0 1rem; list-style: none; font-size: .9rem; }
.key { display: inline-block; width: .85rem; height: .85rem; border-radius: 2px; margin-right: .4rem; vertical-align: -.1rem; }
.start { background: var(--start); } .loading { background: var(--loading); } .linking { background: var(--linking); }
.inference { background: var(--inference); } .generation { background: var(--generation); } .run { background: var(--run); }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
.scroll:focus-visible, summary:focus-visible, a:focus-visible { outline: 3px solid var(--loading); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; padding: .5rem .75rem; color: var(--quiet); }
th, td { padding: .4rem .75rem; text-align: left; border-top: 1px solid var(--line); vertical-align: top; }
thead th { background: var(--panel); } .number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: .85rem/1.4 ui-monospace, "DejaVu Sans Mono", monospace; overflow-wrap: anywhere; }
.track { width: 6rem; } .gain { height: .9rem; margin-top: .3rem; background: var(--linking); min-width: 2px; border-radius: 2px; }
details { margin: .2rem 0; } summary { cursor: pointer; }
.skip { position: absolute; left: -999rem; } .skip:focus { left: 1rem; top: .5rem; background: var(--back); padding: .3rem .6rem; }
@media (max-width: 34rem) { .bars { grid-template-columns: 1fr; gap: .15rem; } .bar { margin-bottom: .6rem; }
  th, td { padding: .35rem .5rem; } .track { display: none; } }
@media print { body { max-width: none; } .scroll { overflow: visible; } }
"""

"A stacked bar; what is wide enough says how long it took."
function bar_html(title, latency::Latency, longest)
    label = string(title, ": ", join(("$(phase_title(phase)) $(time_text(getfield(latency, phase)))" for phase in PHASES), ", "))
    io = IOBuffer()
    print(io, "<div>", title, "<br><span class=\"quiet\">", time_text(total(latency)), "</span></div>",
        "<div class=\"bar\" role=\"img\" aria-label=\"", escape_html(label), "\">")
    for phase in PHASES
        share = 100 * getfield(latency, phase) / longest
        share < 0.05 && continue
        text = share > 9 ? time_text(getfield(latency, phase)) : ""
        print(io, "<span class=\"", phase, "\" style=\"width:", round(share; digits = 2), "%\" title=\"", phase_title(phase), ' ',
            time_text(getfield(latency, phase)), "\">", text, "</span>")
    end
    print(io, "</div>\n")
    return String(take!(io))
end

"A table that can be reached by keyboard and scrolls by itself when the window is narrow."
function table_html(caption, head, rows; numbers = ())
    io = IOBuffer()
    cell(tag, i, text, extra = "") = print(io, '<', tag, i in numbers ? " class=\"number\"" : "", extra, '>', text, "</", tag, '>')
    print(io, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"", escape_html(caption), "\"><table><caption>", caption,
        "</caption><thead><tr>")
    foreach(i -> cell("th", i, head[i], " scope=\"col\""), eachindex(head))
    print(io, "</tr></thead><tbody>\n")
    for row in rows
        print(io, "<tr>")
        cell("th", 1, row[1], " scope=\"row\"")
        foreach(i -> cell("td", i, row[i]), 2:length(row))
        print(io, "</tr>\n")
    end
    print(io, "</tbody></table></div>\n")
    return String(take!(io))
end

"The report as a page."
function page(measured::LatencyReport)
    before, after = measured.before, measured.after
    longest = max(total(before), total(after))
    faster = total(before) / total(after)
    io = IOBuffer()
    print(io, """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Latency of $(escape_html(basename(measured.script)))</title><style>$PAGE_STYLE</style></head><body>
        <a class="skip" href="#phases">Skip to the numbers</a>
        <h1>Where the time goes</h1>
        <p class="quiet"><code>$(escape_html(measured.script))</code>, Julia $(measured.julia), $(escape_html(measured.machine)),
        $(measured.when); $(measured.runs == 1 ? "one run" : "median of $(measured.runs) runs") of each</p>
        <p class="headline"><strong>$(time_text(total(before)))</strong> without the cache,
        <strong>$(time_text(total(after)))</strong> with it$(faster > 1.05 ? ": $(round(faster; digits = 1)) times as fast" : ""),
        and $(after.compiled) instead of $(before.compiled) methods to compile.</p>
        <h2 id="phases">A session, phase by phase</h2>
        <div class="bars">$(bar_html("Without", before, longest))$(bar_html("With", after, longest))</div>
        <ul class="legend">""")
    for phase in PHASES
        print(io, "<li><span class=\"key ", phase, "\"></span>", phase_title(phase), "</li>")
    end
    print(io, "</ul>\n")
    rows = [["<span class=\"key $phase\"></span>$(phase_title(phase))", time_text(getfield(before, phase)),
             time_text(getfield(after, phase)), difference_text(getfield(before, phase), getfield(after, phase))] for phase in PHASES]
    push!(rows, ["together", time_text(total(before)), time_text(total(after)), difference_text(total(before), total(after))])
    push!(rows, ["methods compiled", string(before.compiled), string(after.compiled), replace(string(after.compiled - before.compiled), '-' => "−")])
    print(io, table_html("Seconds by phase", ["phase", "without", "with", "difference"], rows; numbers = 2:4))
    print(io, """<details><summary>How this is measured</summary><p class="quiet">Each session is a process of its own, sampled every 2 ms.
        A sample belongs to the innermost of these in its stack: LLVM (code generation), Julia's type inference, package loading;
        everything else is the program itself. Linking is timed by NativeCache. Julia's start is the time until the first line of
        the script. Sampling makes both sessions slower by the same few per cent.</p></details>
        <h2>Saved, package by package</h2>""")
    packages = sort(measured.packages; by = gain -> isnan(gain.saved) ? 0.0 : gain.saved, rev = true)
    if isempty(packages)
        print(io, "<p>No library was used in this session. <code>NativeCache.build(\"Package\")</code> makes one.</p>\n")
    else
        most = maximum(isnan(gain.saved) ? 0.0 : gain.saved for gain in packages)
        rows = [[escape_html(gain.package), isnan(gain.saved) ? "not measured" : time_text(gain.saved),
                 isnan(gain.saved) || most == 0 ? "" : "<div class=\"track\"><div class=\"gain\" style=\"width:$(round(Int, 100 * gain.saved / most))%\"></div></div>",
                 "$(gain.installed) of $(gain.requested)", time_text(gain.linking), size_text(gain.bytes)] for gain in packages]
        print(io, table_html("Compile time of the methods that are installed, as it was measured when they were built",
            ["package", "saved", "", "methods", "linked in", "size"], rows; numbers = (2, 4, 5, 6)))
    end
    print(io, "<h2>Still compiled</h2>\n")
    if isempty(measured.uncached)
        print(io, "<p>Nothing: every method that the session needs is cached.</p>\n")
    else
        longest = maximum(one.seconds for one in measured.uncached)
        rows = [["<code>$(escape_html(one.signature))</code>", time_text(one.seconds),
                 "<div class=\"track\"><div class=\"gain\" style=\"width:$(round(Int, 100 * one.seconds / max(longest, 1e-9)))%;background:var(--inference)\"></div></div>",
                 isempty(one.reason) ? "" : "<strong>$(one.reason)</strong>: $(escape_html(one.text)). <span class=\"quiet\">$(escape_html(one.advice)).</span>"]
                for one in measured.uncached]
        print(io, table_html("Methods that cost most and are not cached; the cost is the time that inference took",
            ["method", "cost", "", "why, and what to do"], rows; numbers = (2,)))
    end
    print(io, "<p class=\"quiet\">Written by NativeCache in ", time_text(measured.seconds), ".</p>\n</body></html>\n")
    return String(take!(io))
end

difference_text(before, after) = string(after < before ? "−" : "+", time_text(abs(after - before)))
