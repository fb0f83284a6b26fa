# A first session with SHA.
using SHA

data = Vector{UInt8}("The quick brown fox jumps over the lazy dog")
for hash in (sha1, sha224, sha256, sha384, sha512, sha3_224, sha3_256, sha3_384, sha3_512)
    println(nameof(hash), " ", bytes2hex(hash(data)))
end
println(bytes2hex(sha256("")))
println(bytes2hex(sha2_256("text")))
println(bytes2hex(hmac_sha256(Vector{UInt8}("key"), data)))
println(bytes2hex(hmac_sha512(Vector{UInt8}("key"), "message")))
println(bytes2hex(hmac_sha1(Vector{UInt8}("key"), data)))
println(bytes2hex(sha512(IOBuffer(repeat(data, 50)))))
context = SHA256_CTX()
update!(context, data[1:10])
update!(context, data[11:end])
println(bytes2hex(digest!(context)) == bytes2hex(sha256(data)))
println(bytes2hex(sha3_256(repeat("a", 200))))
show(stdout, SHA256_CTX())
println()
