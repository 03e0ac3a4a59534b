# Sourced by the scripts beside it: the root of the checkout, and counting.
# shellcheck shell=bash

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

# What clang finds at run time must stop the program, and leaks count.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1}

passed=0
failed=0

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

heading() {
  printf '\n==== %s\n' "$*"
}

count_pass() {
  passed=$((passed + 1))
  echo "PASS  $*"
}

count_fail() {
  failed=$((failed + 1))
  echo "FAIL  $*"
}

# step NAME COMMAND...: run it and count it as one.
step() {
  local name=$1 start=$SECONDS
  shift
  heading "$name"
  if "$@"; then
    count_pass "$name ($((SECONDS - start)) s)"
  else
    count_fail "$name ($((SECONDS - start)) s)"
    return 1
  fi
}

# need NAME COMMAND...: run what a later step rests on; counted only when it fails.
need() {
  local name=$1
  shift
  heading "$name"
  "$@" || {
    count_fail "$name"
    return 1
  }
}

# Print the sum alone on the last line and give the exit status.
finish() {
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}

# What Meson takes in as soon as it exists, and would not notice by itself.
newer_sources() {
  find src tests fuzz \( -name meson.build -o -name main.c -o -name 'fuzz_*.c' \) -newer "$1" -print -quit
}

# configure FOLDER COMPILER MESON_OPTION...: a configured build folder, also when a source folder has appeared or the
# options have changed since.
configure() {
  local folder=$1 compiler=$2 cxx
  shift 2
  case $compiler in
    *clang*) cxx=${compiler/clang/clang++} ;;
    *gcc*) cxx=${compiler/gcc/g++} ;;
    *) cxx=${CXX:-c++} ;;
  esac
  if [ ! -f "$folder/build.ninja" ]; then
    rm -rf "$folder"
    CC=$compiler CXX=$cxx meson setup "$folder" "$@" || return 1
  elif [ "$*" != "$(cat "$folder/.options" 2>/dev/null)" ] || [ -n "$(newer_sources "$folder/build.ninja")" ]; then
    CC=$compiler CXX=$cxx meson setup --reconfigure "$folder" "$@" || return 1
  fi
  echo "$*" >"$folder/.options"
}
