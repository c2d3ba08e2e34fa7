#!/bin/sh
printf 'Content-Type: text/plain\r\n\r\n'
echo "hello from $NAME, task $(hostname)"
[ -z "$UPSTREAM" ] || echo "  and $UPSTREAM says: $(call "$UPSTREAM")"
