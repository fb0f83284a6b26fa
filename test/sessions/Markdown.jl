# A first session with Markdown.
using Markdown

text = Markdown.parse("""
    # A *title* with `code`

    A paragraph with **bold**, a [link](https://julialang.org "Julia") and a footnote[^1].
    It has a second line, and ``x^2``.

    - one
    - two
        - nested
    - three

    1. first
    2. second

    > A quotation
    > of two lines.

    ```julia
    f(x) = x + 1
    ```

    | left | right |
    |:-----|------:|
    | a    | 1     |
    | b    | 22    |

    !!! note "Mind"
        An admonition.

    ---

    [^1]: The footnote.
    """)
println(length(text.content))
println(join((nameof(typeof(block)) for block in text.content), " "))
println(Markdown.html(text))
println(Markdown.latex(text))
println(Markdown.plain(text))
println(Markdown.rst(text))
show(stdout, MIME("text/plain"), text)
println()
show(stdout, MIME("text/html"), md"A **literal** with $(1 + 1) in it")
println()
println(Markdown.term(stdout, md"*one* `two` **three**", 40))
println(md"- [ ] a
- b".content[1] isa Markdown.List)
println(Markdown.html(md"an image: ![alt](pic.png)"))
println(repr(md"# Title"))
println(sprint(show, MIME("text/latex"), md"``\alpha`` and \$5"))
println(Markdown.htmlesc("<a & b>"))
println(Markdown.html(Markdown.MD(Markdown.Paragraph(Any["made ", Markdown.Bold("by hand")]))))
println(Markdown.parse("Setext\n======\n\nand a break\\\nhere").content |> length)
println(md"a" == Markdown.parse("a"))
