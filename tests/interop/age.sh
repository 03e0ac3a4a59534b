#!/bin/sh
# Judge: stock age opens what we seal, and we open what stock age seals, in the
# sizes where the payload's chunks begin and end, with 1 and with 3 recipients.
#
# Usage: tests/interop/age.sh      (ENTENTE_BUILD: the build folder, default build/)

set -u

root=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
build=${ENTENTE_BUILD:-$root/build}
case $build in
/*) ;;
*) build=$PWD/$build ;;
esac
tool=$build/tests/seal/age-tool
failures=0
passes=0

pass() {
    echo "PASS $1"
    passes=$((passes + 1))
}

fail() {
    echo "FAIL $1"
    failures=$((failures + 1))
}

# give up: without these nothing can be shown
for program in age age-keygen; do
    command -v "$program" >/dev/null 2>&1 || {
        echo "FAIL $program is not installed (apt-get install age)"
        exit 1
    }
done
[ -x "$tool" ] || {
    echo "FAIL $tool is missing: build first, or set ENTENTE_BUILD"
    exit 1
}

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
cd "$work" || exit 1

echo "age $(age --version 2>/dev/null)"

# Two identities are made by age, one by us.
age-keygen -o key1 2>/dev/null && age-keygen -o key2 2>/dev/null || exit 1
grep '^AGE-SECRET-KEY-' key1 >id1
grep '^AGE-SECRET-KEY-' key2 >id2
"$tool" keygen >id3 || exit 1

for n in 1 2 3; do
    theirs=$(age-keygen -y "id$n" 2>/dev/null)
    ours=$("$tool" recipient <"id$n")
    if [ -n "$ours" ] && [ "$ours" = "$theirs" ]; then
        pass "identity $n has the same recipient in both"
    else
        fail "identity $n: age says '$theirs', we say '$ours'"
    fi
    echo "$theirs" >"recipient$n"
done

# opens PLAIN SEALED LABEL COMMAND...: the command opens SEALED to PLAIN
opens() {
    plain=$1
    sealed=$2
    label=$3
    shift 3
    if "$@" <"$sealed" >opened 2>errors && cmp -s "$plain" opened; then
        pass "$label"
    else
        fail "$label: $(head -n 1 errors)"
    fi
    rm -f opened
}

refuses() {
    sealed=$1
    label=$2
    shift 2
    if "$@" <"$sealed" >/dev/null 2>&1; then
        fail "$label"
    else
        pass "$label"
    fi
}

for size in 0 1 65535 65536 65537 1048579; do
    head -c "$size" /dev/urandom >plain
    for count in 1 3; do
        ours=""
        theirs=""
        n=1
        while [ "$n" -le "$count" ]; do
            ours="$ours $(cat "recipient$n")"
            theirs="$theirs -r $(cat "recipient$n")"
            n=$((n + 1))
        done
        what="$size bytes, $count recipient(s)"
        for way in seal seal-stream; do
            # The lists are words on purpose.
            # shellcheck disable=SC2086
            if ! "$tool" $way $ours <plain >"$way.age"; then
                fail "we cannot $way $what"
                continue
            fi
            n=1
            while [ "$n" -le "$count" ]; do
                opens plain "$way.age" "age opens what we $way: $what, identity $n" age -d -i "id$n"
                n=$((n + 1))
            done
        done
        # shellcheck disable=SC2086
        if ! age -e $theirs <plain >stock.age; then
            fail "age cannot seal $what"
            continue
        fi
        n=1
        while [ "$n" -le "$count" ]; do
            for way in open open-stream; do
                opens plain stock.age "we $way what age seals: $what, identity $n" "$tool" $way "id$n"
            done
            n=$((n + 1))
        done
        if [ "$count" = 1 ]; then
            refuses stock.age "we refuse what is sealed to another: $what" "$tool" open id2
            refuses seal.age "age refuses what is sealed to another: $what" age -d -i id2
        fi
    done
    # One byte less is a cut file for both.
    sealed_size=$(wc -c <seal.age)
    head -c $((sealed_size - 1)) seal.age >cut.age
    refuses cut.age "age refuses our file of $size bytes cut by one" age -d -i id1
    refuses cut.age "we refuse our file of $size bytes cut by one" "$tool" open-stream id1
done

echo "$passes passed, $failures failed"
[ "$failures" -eq 0 ]
