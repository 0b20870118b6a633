"""Scans an HTTPS listener with sslyze and judges what it finds.

tls.py NAME PORT CA_FILE: prints `NAME passed failed skipped`, and what failed on standard error.
"""

import socket
import ssl
import sys
from pathlib import Path

from sslyze import (
    RobotScanResultEnum,
    Scanner,
    ScanCommand,
    ScanCommandAttemptStatusEnum,
    ScanCommandsExtraArguments,
    CertificateInfoExtraArgument,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
)
from sslyze.mozilla_tls_profile.tls_config_checker import (
    SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER,
    MozillaTlsConfiguration,
    ServerNotCompliantWithTlsConfiguration,
    TlsConfigurationEnum,
    check_server_against_tls_configuration,
)

HOST = "localhost"


def scan(port, authority):
    request = ServerScanRequest(
        server_location=ServerNetworkLocation(hostname=HOST, port=port, ip_address="127.0.0.1"),
        network_configuration=ServerNetworkConfiguration(tls_server_name_indication=HOST),
        scan_commands=SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER
        | {ScanCommand.SESSION_RESUMPTION, ScanCommand.TLS_1_3_EARLY_DATA},
        scan_commands_extra_arguments=ScanCommandsExtraArguments(
            certificate_info=CertificateInfoExtraArgument(custom_ca_file=Path(authority))
        ),
    )
    scanner = Scanner(per_server_concurrent_connections_limit=2)
    scanner.queue_scans([request])
    return next(iter(scanner.get_results()))


def issues_of_profile(result):
    try:
        profile = MozillaTlsConfiguration.get(TlsConfigurationEnum.MOZILLA_INTERMEDIATE)
        check_server_against_tls_configuration(result, profile)
    except ServerNotCompliantWithTlsConfiguration as found:
        return found.issues
    return {}


def context(authority, version, protocols):
    made = ssl.create_default_context(cafile=authority)
    made.minimum_version = made.maximum_version = version
    made.set_alpn_protocols(protocols)
    return made


def connect(made, port, session=None):
    """One request and its answer, for tickets of TLS 1.3 come with it: protocol chosen, session, whether resumed."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as plain:
        with made.wrap_socket(plain, server_hostname=HOST, session=session) as secure:
            if secure.selected_alpn_protocol() != "h2":
                secure.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                secure.recv(1024)
            return secure.selected_alpn_protocol(), secure.session, secure.session_reused


def resumes(authority, port, version):
    made = context(authority, version, ["http/1.1"])
    _, session, _ = connect(made, port)
    return connect(made, port, session)[2]


def chooses(authority, port, offered):
    try:
        return connect(context(authority, ssl.TLSVersion.TLSv1_3, offered), port)[0]
    except ssl.SSLError as error:
        return str(error)


def checks(port, authority):
    """Pairs of a name and what is wrong, which is empty for what is right."""
    result = scan(port, authority)
    if result.scan_result is None:
        yield "scan", str(result.connectivity_error_trace)
        return
    found = result.scan_result
    for command in SCAN_COMMANDS_NEEDED_BY_MOZILLA_CHECKER | {
        ScanCommand.SESSION_RESUMPTION,
        ScanCommand.TLS_1_3_EARLY_DATA,
    }:
        attempt = getattr(found, command.value)
        if attempt.status != ScanCommandAttemptStatusEnum.COMPLETED:
            yield command.value, f"not completed: {attempt.error_reason} {attempt.error_trace}"
            return
    issues = issues_of_profile(result)
    yield "Mozilla's intermediate profile", "; ".join(f"{name}: {issue}" for name, issue in issues.items())

    def of(command):
        return getattr(found, command).result

    wrong = {
        "SSL 2.0": of("ssl_2_0_cipher_suites").is_tls_version_supported,
        "SSL 3.0": of("ssl_3_0_cipher_suites").is_tls_version_supported,
        "TLS 1.0": of("tls_1_0_cipher_suites").is_tls_version_supported,
        "TLS 1.1": of("tls_1_1_cipher_suites").is_tls_version_supported,
        "no TLS 1.2": not of("tls_1_2_cipher_suites").is_tls_version_supported,
        "no TLS 1.3": not of("tls_1_3_cipher_suites").is_tls_version_supported,
        "Heartbleed": of("heartbleed").is_vulnerable_to_heartbleed,
        "CCS injection": of("openssl_ccs_injection").is_vulnerable_to_ccs_injection,
        "ROBOT": of("robot").robot_result
        not in (RobotScanResultEnum.NOT_VULNERABLE_NO_ORACLE, RobotScanResultEnum.NOT_VULNERABLE_RSA_NOT_SUPPORTED),
        "compression": of("tls_compression").supports_compression,
        "renegotiation by clients": of("session_renegotiation").is_vulnerable_to_client_renegotiation_dos,
        "no secure renegotiation": not of("session_renegotiation").supports_secure_renegotiation,
        "no fallback SCSV": not of("tls_fallback_scsv").supports_fallback_scsv,
        "no extended master secret": not of("tls_extended_master_secret").supports_ems_extension,
        "early data": of("tls_1_3_early_data").supports_early_data,
    }
    yield from ((name, "found" if is_wrong else "") for name, is_wrong in wrong.items())

    resumption = of("session_resumption")
    kinds = {resumption.session_id_resumption_result.value, resumption.tls_ticket_resumption_result.value}
    yield "resumption in TLS 1.2", "" if "FULLY_SUPPORTED" in kinds else f"{kinds}"
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        yield f"resumption in {version.name}", "" if resumes(authority, port, version) else "not resumed"

    for offered, chosen in (
        (["h2", "http/1.1"], "h2"),
        (["http/1.1", "h2"], "h2"),
        (["http/1.1"], "http/1.1"),
        # RFC 7301 section 3.2
        (["imap"], "no application protocol"),
    ):
        got = chooses(authority, port, offered)
        yield f"ALPN of {offered}", "" if chosen in str(got) else f"{got} instead of {chosen}"


def main(name, port, authority):
    passed = failed = 0
    for check, wrong in checks(int(port), authority):
        if wrong:
            failed += 1
            print(f"{name}: {check}: {wrong}", file=sys.stderr)
        else:
            passed += 1
    print(name, passed, failed, 0)


main(*sys.argv[1:])
