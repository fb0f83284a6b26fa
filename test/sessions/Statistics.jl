# A first session with Statistics.
using Statistics

values = [3.5, 1.25, 9.0, 4.75, 6.5, 2.0, 8.25, 7.0]
table = reshape(Float64.(1:24) .^ 1.5, 6, 4)
println(mean(values), " ", median(values), " ", std(values), " ", var(values))
println(mean(table; dims = 1))
println(std(table; dims = 2))
println(quantile(values, [0.1, 0.25, 0.5, 0.9]))
println(quantile(values, 0.333; alpha = 0.5, beta = 0.5))
println(cor(table[:, 1], table[:, 2]), " ", cov(table[:, 1], table[:, 3]))
println(round.(cor(table); digits = 6))
println(round.(cov(table); digits = 4))
println(mean(abs2, values), " ", mean(x -> x^2 - 1, 1:10))
println(median!([5, 3, 8, 1]), " ", median(table; dims = 1))
println(middle(1, 10), " ", middle(values))
println(mean([1 // 2, 3 // 4]), " ", mean([true, false, true]), " ", mean(Any[1, 2.5, 3 // 2]))
println(var(values; corrected = false), " ", varm(values, 5.0), " ", stdm(values, 5.0))
println(mean(skipmissing([1, missing, 3])), " ", std(skipmissing([1.0, missing, 3.0, 7.5])))
println(var([1 + 2im, 3 - 1im, 0.5 + 0im]), " ", mean(Float32[1, 2, 4]))
println(try median(Int[]) catch err; sprint(showerror, err) end)
