#!/usr/bin/env bash
#
# julia.sh: find a Julia that NativeCache supports (1.5.3, or 1.10), or make one.
#
#   deps/julia.sh              print the path of $JULIA, else of julia on PATH,
#                              else of the private Julia, made if missing
#   deps/julia.sh --private    the same, but always the private Julia
#   deps/julia.sh --tools      print nothing; fail if a tool for the build from
#                              source is missing, with one line for each
#
# The private Julia is Debian 11's 1.5.3 (LLVM 9.0.1) in <clone>/.julia-private.
# It comes through apt, from the Debian mirror that this machine already uses,
# checked by the machine's own Debian keys. No root, no change to the system:
# apt works on a package list of its own, and the packages are unpacked, not
# installed. To be rid of it, delete the folder.
#
# stdout: the answer, nothing else. stderr: what is being done.

set -euo pipefail

supported='1.5.3'
suite='bullseye'

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
house=$root/.julia-private
prefix=$house/julia
julia=$prefix/usr/bin/julia
lib=usr/lib/x86_64-linux-gnu
advice="install Julia $supported and set JULIA=/path/to/julia"

say() { printf 'julia.sh: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# --- what the private Julia consists of --------------------------------------
#
# Julia and every shared library that it loads, except what each Linux machine
# with a C compiler has: libc, libgcc_s, libstdc++ (see below). Newer libraries
# under the same name are no replacement: with libunwind 1.6 an exception thrown
# from compiled code kills the process.

packages=(
    julia julia-common libjulia-dev libjulia1
    libbsd0 libedit2 libffi7 libllvm9 libmd0 libtinfo6 libz3-4 zlib1g    # LLVM
    liblzma5 libunwind8                                                 # backtraces
    libdsfmt-19937-1 libgmp10 libmpfr6 libopenlibm3                     # numbers
    libgfortran5 libquadmath0                                           # OpenBLAS
    libpcre2-8-0 libutf8proc2                                           # strings
    libcom-err2 libgcrypt20 libgit2-1.1 libgpg-error0 libgssapi-krb5-2  # LibGit2
    libhttp-parser2.9 libk5crypto3 libkeyutils1 libkrb5-3 libkrb5support0
    libmbedcrypto3 libmbedtls12 libmbedx509-0 libpcre3 libssh2-1
)

# Not unpacked: what neither Julia nor a build against it reads.
unwanted=(
    './usr/share/applications' './usr/share/bug' './usr/share/doc'
    './usr/share/doc-base' './usr/share/gcc' './usr/share/gdb'
    './usr/share/icons' './usr/share/libgcrypt20' './usr/share/lintian'
    './usr/share/locale' './usr/share/man' './usr/share/metainfo'
    './usr/lib/*/krb5' './usr/lib/*/julia/libcurl.so'
)

# To be raised when the same packages are put together in another way.
layout=1

# Of libgcc_s and libstdc++ the machine's own are better where there are any: the
# newer ones serve Julia and also what the machine's compiler has made.
complete_packages() {
    local have
    have=$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null || true)
    [[ $have == *'libgcc_s.so.1 (libc6,x86-64)'* ]] || packages+=(libgcc-s1)
    [[ $have == *'libstdc++.so.6 (libc6,x86-64)'* ]] || packages+=(libstdc++6)
}

stamp() { printf 'layout %s\n' "$layout"; printf '%s\n' "${packages[@]}"; }

# --- making it ----------------------------------------------------------------

# Debian mirrors of this machine, the likeliest first: apt's own view of
# sources.list and sources.list.d, so that both of its file formats, mirror
# lists and options are understood.
mirrors() {
    local codename='' uri release component
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
    # shellcheck disable=SC2016  # the names are apt's
    apt-get indextargets --no-release-info \
        --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    while read -r uri release component; do
        [[ $component == main && $uri != cdrom:* ]] || continue
        case $release in
            "$codename") printf '1 %s\n' "$uri" ;;
            stable | oldstable | testing | unstable | sid) printf '2 %s\n' "$uri" ;;
        esac
    done | sort -u | cut -d' ' -f2-
}

# apt on a package list of its own, away from the system's. Proxies and
# credentials of the system's configuration stay in force.
private_apt() {
    apt-get --quiet=2 --config-file "$work/apt.conf" "$@"
}

prepare_apt() {    # mirror, keys
    mkdir -p "$work"/{lists,cache,state,debs}/partial
    : >"$work/status"    # nothing is installed, as far as this apt knows
    printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' "$2" "$1" "$suite" \
        >"$work/sources.list"
    cat >"$work/apt.conf" <<CONF
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Default-Release;
#clear APT::Architectures;
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Sandbox::User "";
APT::Update::Error-Mode "any";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::CNF::DefaultEnabled "false";
Dir::State "$work/state";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
CONF
}

download() {
    local uri keys=/usr/share/keyrings/debian-archive-keyring.gpg
    [[ -r $keys ]] || die "no $keys, so Debian's packages cannot be checked; $advice"
    while read -r uri; do
        prepare_apt "$uri" "$keys"
        if private_apt update &&
           (cd "$work/debs" && private_apt download "${packages[@]}"); then
            return
        fi
    done < <(mirrors) 2>"$work/log" >&2
    sed 's/^/julia.sh:   /' "$work/log" >&2
    die "could not download Debian 11's Julia $supported from the mirror in this machine's" \
        "apt configuration; $advice"
}

unpack() {
    local deb
    mkdir "$work/tree"
    printf '%s\n' "${unwanted[@]}" >"$work/unwanted"
    # shellcheck disable=SC2016  # for the inner bash
    for deb in "$work"/debs/*.deb; do printf '%s\0' "$deb"; done |
        xargs -0 -n1 -P2 bash -euo pipefail -c '
            dpkg-deb --fsys-tarfile "$2" |
            tar -x -C "$0" -X "$1" --no-same-owner --wildcards \
                --transform "flags=r;s,^\./lib/,./usr/lib/," ' \
            "$work/tree" "$work/unwanted"
}

# The loader finds every library through the one that asks for it: turn
# DT_RUNPATH, which counts for a library's own needs only, into DT_RPATH, which
# is inherited, and `$ORIGIN/../lib` (LLVM's: right in Debian's llvm-9 folder,
# where it was built) into `$ORIGIN`. With DT_RPATH in
# bin/julia, all that it loads is found in the private folder, whatever
# LD_LIBRARY_PATH says; a wrapper script that sets LD_LIBRARY_PATH would hand it
# down to compilers started from Julia. Both edits are in place: one number, one
# byte.
rpath() {
    # shellcheck disable=SC2016  # for perl
    find "$work/tree/usr" -type f \( -name julia -o -name '*.so*' \) -print0 |
        xargs -0 perl -e '
            use strict;
            use warnings;

            my ($NULL, $STRTAB, $RPATH, $RUNPATH) = (0, 5, 15, 29);    # dynamic tags
            my $f;
            sub get { my ($at, $size) = @_; my $buf; seek $f, $at, 0; read $f, $buf, $size; $buf }
            sub put { my ($at, $buf) = @_; seek $f, $at, 0; print $f $buf }

            for my $file (@ARGV) {
                open $f, "+<:raw", $file or die "$file: $!";
                next if get(0, 6) ne "\x7fELF\x02\x01";
                my $table = unpack "Q<", get(32, 8);
                my ($step, $count) = unpack "v2", get(54, 4);
                my (@load, @dynamic);
                for (map { get($table + $_ * $step, 40) } 0 .. $count - 1) {
                    my ($type, $offset, $address, $size) = unpack "V x4 Q<2 x8 Q<", $_;
                    push @load, [$address, $size, $offset] if $type == 1;
                    @dynamic = ($offset, $size) if $type == 2;
                }
                next unless @dynamic;
                my ($at, $end) = ($dynamic[0], $dynamic[0] + $dynamic[1]);
                my %entry;    # tag => [place in the file, value]
                for (; $at < $end; $at += 16) {
                    my ($tag, $value) = unpack "Q<2", get($at, 16);
                    last if $tag == $NULL;
                    $entry{$tag} = [$at, $value];
                }
                next unless $entry{$RUNPATH};
                put($entry{$RUNPATH}[0], pack "Q<", $RPATH);
                my $strings = $entry{$STRTAB}[1];
                my ($in) = grep { $_->[0] <= $strings && $strings < $_->[0] + $_->[1] } @load;
                my $path = $strings - $in->[0] + $in->[2] + $entry{$RUNPATH}[1];
                put($path + 7, "\0") if get($path, 15) eq "\$ORIGIN/../lib\0";
            }
            continue { close $f or die "$file: $!" }'
}

arrange() {
    local usr=$work/tree/usr
    rm -rf "$usr/lib/llvm-9"
    # A prefix as build scripts expect it: include/julia/julia.h, lib/libjulia.so.
    ln -s x86_64-linux-gnu/libjulia.so "$usr/lib/libjulia.so"
    # A program that embeds libjulia takes <folder of libjulia>/../bin for Julia's,
    # and has no DT_RPATH with which OpenBLAS would find what it needs.
    ln -s ../bin "$usr/lib/bin"
    ln -s ../libgfortran.so.5 ../libquadmath.so.0 "$work/tree/$lib/julia/"
    find "$work/tree" -depth -type d -empty -delete
}

try_out() {
    local said
    said=$(cd "$work/tree" && env -u LD_LIBRARY_PATH -u JULIA_LOAD_PATH -u JULIA_PROJECT \
        JULIA_DEPOT_PATH="$work/depot" usr/bin/julia --startup-file=no -e '
            using LinearAlgebra, SparseArrays, LibGit2
            sparse(1.0I, 2, 2) \ [1.0, 2.0] == [1.0, 2.0] || error("SuiteSparse")
            string(big"2.5" + parse(BigInt, "1")) == "3.5" || error("big numbers")
            match(r"(\d+)", "a42")[1] == "42" || error("regular expressions")
            LibGit2.version() >= v"1.1" || error("LibGit2")
            print(try sqrt(-1.0) catch; VERSION end)' 2>&1) || true
    [[ $said == "$supported" ]] || die "the Julia just made does not work here:"$'\n'"$said"
}

make() {
    local tool start=$SECONDS
    [[ $(uname -s)-$(uname -m) == Linux-x86_64 ]] ||
        die "a private Julia can be made on x86-64 Linux only; $advice"
    for tool in apt-get dpkg-deb flock perl tar; do
        command -v "$tool" >/dev/null ||
            die "no $tool here, so no private Julia can be made; $advice"
    done
    mkdir -p "$house"
    printf '*\n' >"$house/.gitignore"
    exec 9>"$house/.lock"
    if ! flock -n 9; then
        say 'another process is making the private Julia: waiting for it'
        flock 9
    fi
    ready && return    # it was made meanwhile

    work=$house/.work
    rm -rf "$work"     # left by a process that was killed
    mkdir "$work"
    trap 'rm -rf "$work"' EXIT
    say "making a private Julia $supported (Debian 11's) in $house"
    say "downloading ${#packages[@]} packages (76 MB)"
    download
    say 'unpacking them and trying it out'
    unpack
    arrange
    rpath
    try_out
    stamp >"$work/tree/stamp"
    if [[ -e $prefix ]]; then mv -T "$prefix" "$work/old"; fi
    mv -T "$work/tree" "$prefix"
    rm -rf "$work"
    trap - EXIT
    exec 9>&-
    say "made in $((SECONDS - start)) s, $(du -sh "$prefix" | cut -f1)"
}

ready() { [[ -x $julia && -r $prefix/stamp && $(<"$prefix/stamp") == "$(stamp)" ]]; }

private() {
    ready || make
    printf '%s\n' "$julia"
}

# --- finding what is there ----------------------------------------------------

# Is this program a Julia that NativeCache can be built for and run in? If not,
# `why` says what is wrong.
suits() {
    local version bin
    version=$("$1" --version 2>/dev/null) || version='something that does not start'
    # 1.10: the companion engine; deps/build.jl has the same list.
    case $version in
        "julia version $supported" | 'julia version 1.10.'*) ;;
        'julia version 1.1'[1-9]*) [[ ${JULIA_NATIVECACHE_UNTESTED:-} == yes ]] ;;
        *) false ;;
    esac || {
        why="it is ${version#julia version }, and NativeCache supports $supported and 1.10"
        return 1
    }
    bin=$(dirname -- "$(readlink -f -- "$1")")
    [[ -r $bin/../include/julia/julia.h ]] ||    # perhaps a launcher: ask
        bin=$("$1" --startup-file=no -e 'print(Sys.BINDIR)' 2>/dev/null) || bin=
    if [[ ! -r $bin/../include/julia/julia.h ]]; then
        why='its headers (include/julia/julia.h) are missing'
        return 1
    fi
}

find_julia() {
    local path why
    if [[ -n ${JULIA:-} ]]; then
        path=$(command -v -- "$JULIA") || die "JULIA=$JULIA: there is no such program"
        suits "$path" || die "JULIA=$JULIA: $why"
        realpath -s -- "$path"
    elif path=$(command -v julia) && suits "$path"; then
        realpath -s -- "$path"
    else
        [[ -z $path ]] || ready || say "not used: $path, because $why"
        private
    fi
}

tools() {
    local missing=0
    command -v cargo >/dev/null || { say 'no cargo: install Rust'; missing=1; }
    command -v cc >/dev/null || { say 'no cc: install a C compiler and the C library headers'; missing=1; }
    return "$missing"
}

complete_packages
case ${1:-} in
    '') find_julia ;;
    --private) private ;;
    --tools) tools ;;
    *) die "unknown option $1 (there are --private and --tools)" ;;
esac
