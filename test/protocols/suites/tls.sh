#!/usr/bin/env bash
# TLS: scans by sslyze, against Mozilla's intermediate profile and known faults, and by testssl.sh, for an ECDSA and an
# RSA certificate. Both tools trust the suite's own authority.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/lib.sh"
suite tls
venv
package testssl testssl.sh
gateway
origin

# What a private authority lacks, what is the backend's, and cipher_order: testssl wants the server's order, Mozilla's
# intermediate profile the client's, since all that are left are good.
excused='cert_revocation|OCSP_stapling|DNS_CAArecord|HSTS|security_headers|cipher_order'

# testssl NAME PORT: each finding above LOW that is not excused has failed. WARN is what could not be found out.
testssl() {
	local name=$1-testssl report=$logs/$1-testssl.json
	timeout --foreground --kill-after=5 400 testssl --quiet --color 0 --warnings batch --ip 127.0.0.1 --nodns none \
		--add-ca "$work/ca.crt" --jsonfile "$report" "localhost:$2" >"$logs/$name.txt" 2>&1 || true
	python3 - "$report" "$name" "$excused" <<-'PY' || echo "$name 0 1 0"
		import json, re, sys
		report, name, excused = sys.argv[1:]
		findings = json.load(open(report))
		bad = [f for f in findings if f["severity"] in ("MEDIUM", "HIGH", "CRITICAL", "FATAL", "WARN")]
		wrong = [f for f in bad if f["severity"] != "WARN" and not re.fullmatch(excused, f["id"])]
		for f in wrong:
		    print(f"{name}: {f['severity']} {f['id']}: {f['finding']}", file=sys.stderr)
		print(name, len(findings) - len(bad), len(wrong), len(bad) - len(wrong))
	PY
}

for kind in ecdsa:HTTPS rsa:HTTPS_RSA; do
	name=tls-${kind%:*} to=${port[${kind#*:}]}
	counts=$(timeout --foreground --kill-after=5 200 "$cache/venv/bin/python" -W ignore "$here/suites/tls.py" "$name-sslyze" "$to" \
		"$work/ca.crt" 2> >(tee "$logs/$name-sslyze.txt" >&2)) || counts="$name-sslyze 0 1 0"
	read -r -a columns <<<"$counts"
	row "${columns[@]}"
	read -r -a columns < <(testssl "$name" "$to")
	row "${columns[@]}"
done
still_there
