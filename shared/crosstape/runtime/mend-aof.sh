#!/bin/sh
# mend-aof.sh DIR: before a server starts on the data in DIR, cut from its append-only files the transaction that a killed server left unfinished.
#
# A batch of the tape is one transaction there: MULTI, its commands, EXEC. Of one that ends within a command, Redis cuts that command alone
# and keeps what stands before it (loadSingleAppendOnlyFile in its aof.c; Valkey cuts before MULTI since its pull request 4342). The next
# transaction is then written inside of the unfinished one: at the start after that, a batch that was sent again is on the tape twice in part,
# and as many of the oldest entries are gone.
#
# Before that, each file there that another user has made is replaced by a copy of ours: its group may read it and write to the directory, and
# the server appends to what it finds.
set -eu
rm -f "$1"/appendonlydir/*.copy # of a start that was killed
for file in "$1"/appendonlydir/*; do
    if [ -f "$file" ] && [ ! -w "$file" ]; then
        cp "$file" "$file.copy" && mv -f "$file.copy" "$file"
    fi
done
window=$((64 << 20)) # bytes at the end of a file that are looked at: a transaction of the tape has a few at most

for file in "$1"/appendonlydir/*.incr.aof; do
    [ -f "$file" ] || continue # there is none
    size=$(wc -c <"$file")
    from=$((size > window ? size - window : 0))
    # The byte after the end makes a last line that lacks its end differ from a whole one.
    begun=$({ tail -c "+$((from + 1))" "$file" && echo .; } | LC_ALL=C awk -v "at=$from" '
        { alone = before == "*1\r" && first != "$2\r" } # a command of one word: "*1" is not itself a word, of two bytes
        alone && last == "$5\r" && $0 == "MULTI\r" && !open { begun = at - length(before last) - 2; open = 1 }
        alone && last == "$4\r" && $0 == "EXEC\r" { open = 0 }
        { at += length + 1; first = before; before = last; last = $0 }
        END { if (open) printf "%.0f", begun }')
    [ -n "$begun" ] || continue
    dd if=/dev/null of="$file" bs=1 seek="$begun" 2>/dev/null
    echo "mend-aof.sh: $file: $((size - begun)) bytes at its end, of a transaction that was not finished, are cut" >&2
done
