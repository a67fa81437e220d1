#!/bin/bash
# exits.sh CODES COMMAND...: runs the command and wants its exit status among CODES (1,2,3).
codes=$1
shift
"$@"
status=$?
case ",$codes," in
*",$status,"*) exit 0 ;;
esac
echo "exit status $status, expected $codes: $*" >&2
exit 1
