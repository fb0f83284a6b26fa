# A first session with the parts of Pkg that need no network: TOML, version ranges, requests.
using Pkg

text = """
title = "a table"
[owner]
name = "Ada"
born = 1815
active = true
ratio = 0.25
[servers.alpha]
ports = [8001, 8002, 8003]
hosts = ["a", "b"]
[[product]]
name = "Hammer"
[[product]]
name = "Nail"
color = "grey"
"""
table = Pkg.TOML.parse(text)
println(sort!(collect(keys(table))))
println(table["owner"]["name"], " ", table["owner"]["born"], " ", table["servers"]["alpha"]["ports"])
println([product["name"] for product in table["product"]])
Pkg.TOML.print(table; sorted = true)
println(sprint(io -> Pkg.TOML.print(io, Dict("b" => [1, 2], "a" => Dict("c" => "d")); sorted = true)))
println(Pkg.Types.semver_spec("^1.2.3, ~0.4, >= 3"))
println(v"1.9.0" in Pkg.Types.semver_spec("1.2"), " ", v"2.0.0" in Pkg.Types.semver_spec("1.2"))
println(Pkg.Types.VersionRange("1.1-1.4"), " ", Pkg.Types.VersionSpec(["0.5", "1"]))
println(intersect(Pkg.Types.VersionSpec("1.0-2"), Pkg.Types.VersionSpec("1.5-3")))
println(union(Pkg.Types.VersionSpec("1.0-1.2"), Pkg.Types.VersionSpec("1.3-1.5")))
println(isempty(intersect(Pkg.Types.VersionSpec("1"), Pkg.Types.VersionSpec("2"))))
println(Pkg.PackageSpec(name = "Example", version = "0.5"))
println(Pkg.PackageSpec(url = "https://example.org/A.jl", rev = "main"))
println(Pkg.Types.is_stdlib(Base.UUID("ade2ca70-3891-5945-98fb-dc099432e06a")))
println(try Pkg.Types.semver_spec("^a") catch err; sprint(showerror, err) end)
println(try Pkg.TOML.parse("a = = 1") catch err; nameof(typeof(err)) end)
