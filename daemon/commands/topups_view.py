"""`topups` on a screen: the ledger, one top-up, one account, the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from daemon.commands.common import fields, print_json, print_table

if TYPE_CHECKING:
    from daemon.reconcile.audit import Audit, Disagreement


def print_ledger(document: dict[str, Any]) -> None:
    print_table(
        "Top-ups",
        ("id", "state", "amount", "payment intent", "since", "reason"),
        [
            (t["id"], t["state"], f"${t['amount_usd']:.2f}", t["payment_intent"] or "–", t["state_at"], t["reason"])
            for t in document["topups"]
        ],
        right=("amount",),
        empty="none yet",
    )
    _print_stops(document["stops"])
    _print_decisions(document["decisions"], with_account=True)
    if document["would_have_charged"]:
        _print_shadows(document["would_have_charged"])


def _print_stops(stops: list[dict[str, Any]]) -> None:
    print_table(
        "What stops charging",
        ("account", "kind", "reason", "since", "message"),
        [
            ("all" if s["scope"] == "*" else s["scope"], s["kind"], s["reason"], s["since"], s["message"] or "–")
            for s in stops
        ],
        empty="nothing",
    )


def _print_decisions(decisions: list[dict[str, Any]], *, with_account: bool) -> None:
    rows = [(d["account"], d["gate"], str(d["count"]), d["last_at"], d["detail"]) for d in decisions]
    columns = ("account", "gate", "times", "last", "numbers")
    print_table(
        "Why nothing was charged",
        columns if with_account else columns[1:],
        rows if with_account else [row[1:] for row in rows],
        right=("times",),
        empty="no gate has said no",
    )


def _print_shadows(shadows: list[dict[str, Any]]) -> None:
    print_table(
        "Would have been charged (shadow)",
        ("account", "amount", "from", "to", "readings"),
        [
            (s["account"], f"${s['amount_usd']:.2f}", s["first_at"], s["ended_at"] or s["last_at"], str(s["times"]))
            for s in shadows
        ],
        right=("amount", "readings"),
    )


def print_account(document: dict[str, Any]) -> None:
    stand, read, rule = document["standing"], document["reading"], document["rule"]
    fields(
        {
            "account": document["account"],
            "stands": f"{stand['state']}: {stand['reason']}" if stand else "no topup table",
            "available": f"{read['available_usd']} at {read['read_at']}" if read else "not read yet",
            "charged below": str(rule["when_below_usd"]) if rule else "never",
        }
    )
    _print_stops(document["stops"])
    _print_decisions(document["decisions"], with_account=False)
    judged = next((one for one in document["decisions"] if one["gates"]), None)  # the latest comes first
    if judged is not None:
        _print_gates(f"Gates, the last time one said no ({judged['last_at']})", judged["gates"])
    elif document["decisions"]:
        _print_gates("Gates, the last time one said no", [], empty="none was judged yet: nothing came to a charge")
    if document["would_have_charged"]:
        _print_shadows(document["would_have_charged"])


def print_topup(document: dict[str, Any]) -> None:
    read, credit = document["reading"], document["credit"]
    fields(
        {
            "top-up": f"{document['id']}  ${document['amount_usd']:.2f}",
            "state": f"{document['state']} since {document['state_at']}: {document['reason']}",
            "payment intent": f"{document['payment_intent'] or '–'} of {document['customer']}",
            "reading": f"available {read['available_usd']}, funded {read['funded_before_usd']}, at {read['read_at']}",
            "rule": f"charged below {document['rule']['when_below_usd']}",
            "credit": f"expected at funded {credit['expected_funded_usd']}, "
            f"paid {credit['paid_at'] or 'not'}, seen {credit['credited_at'] or 'not yet'}",
        }
    )
    _print_gates("Gates at plan", document["gates"])
    print_table(
        "Attempts",
        ("what", "sent", "answer", "status", "request id", "key", "Stripe said"),
        [
            (
                f"{a['kind']} {a['attempt']}" + (f" (send {a['send']})" if a["send"] > 1 else ""),
                a["sent_at"],
                a["answer"],
                str(a["http_status"] or "–"),
                a["request_id"] or "–",
                a["key"],
                a["message"] or "–",
            )
            for a in document["attempts"]
        ],
        empty="nothing was sent",
    )
    print_table(
        "Read back",
        ("status", "first", "last", "times", "request id"),
        [
            (r["status"], r["first_at"], r["last_at"], str(r["count"]), r["request_id"] or "–")
            for r in document["read_backs"]
        ],
        right=("times",),
        empty="never",
    )
    print_table(
        "Steps", ("at", "to", "reason"), [(s["at"], s["to"], s["reason"]) for s in document["steps"]], empty="none"
    )


def _print_gates(title: str, gates: list[dict[str, Any]], empty: str = "not judged: adopted from Stripe") -> None:
    print_table(
        title,
        ("gate", "name", "says", "numbers"),
        [(str(g["gate"]), g["name"], "yes" if g["passed"] else "NO", g["detail"]) for g in gates],
        empty=empty,
    )


def print_audit(audits: list[Audit], *, as_json: bool) -> None:
    from alerts.model.money import format_usd, to_number

    if as_json:
        print_json(
            [
                {
                    "account": one.account,
                    "charges": one.charges,
                    "charged_usd": to_number(one.charged_microusd),
                    "failure": one.failure,
                    "findings": [_finding_document(finding) for finding in one.findings],
                    "waiting": [_finding_document(finding) for finding in one.waiting],
                    "uncompared": one.uncompared,
                }
                for one in audits
            ]
        )
        return
    for one in audits:
        if one.failure:
            typer.echo(f"{one.account}: Stripe could not be asked: {one.failure}")
        elif not one.findings:
            agree = f"{one.account}: {one.charges} charges, {format_usd(one.charged_microusd)}: {one.agreement}"
            typer.echo(agree + f", {len(one.waiting)} still waiting for the credit" * bool(one.waiting))
    _print_findings("Disagreements", [finding for one in audits for finding in one.findings])
    _print_findings("Waiting for the credit", [finding for one in audits for finding in one.waiting])


def _print_findings(title: str, findings: list[Disagreement]) -> None:
    if findings:
        print_table(
            title,
            ("account", "top-up", "payment intent", "ledger", "Stripe", "balance history"),
            [(f.account, f.topup, f.payment_intent, f.ledger, f.stripe, f.history) for f in findings],
        )


def _finding_document(finding: Disagreement) -> dict[str, str]:
    return {name: getattr(finding, name) for name in finding.__slots__ if name != "notified"}
