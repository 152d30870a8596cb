"""Authorizations in use: redeemed by a link of another subscription, free again when it goes."""

from __future__ import annotations

from dataclasses import replace

from lab.service.refusal import Refusal
from lab.service.resources import Authorization, Circuit
from lab.service.state import State, put


def redeem_key(
    state: State, circuit: Circuit, subscription: str, key: str, user: str
) -> tuple[State, str] | Refusal:
    """The state in which `user` has the key's authorization, and its name (facts 10.2).

    Inside the circuit's own subscription no key is needed: then the state is unchanged and the name empty.
    """
    if not key:
        if subscription == circuit.scope.subscription:
            return state, ""
        return Refusal(
            "AuthorizationNeeded",
            f"circuit {circuit.name} belongs to {circuit.scope.subscription}, not to {subscription}",
            "redeem an authorization key of its owner",
        )
    found = next((one for one in circuit.authorizations.values() if one.key == key), None)
    if found is None:
        return Refusal(
            "AuthorizationUnknown",
            f"circuit {circuit.name} has no authorization with that key",
            "ask its owner for a key",
        )
    if found.used_by:
        return Refusal(
            "AuthorizationInUse",
            f"authorization {found.name} of circuit {circuit.name} is InUse by {found.used_by}",
            "ask its owner for another, each is for one connection",
        )
    return _marked(state, circuit, replace(found, used_by=user)), found.name


def release_key(state: State, circuit: str, name: str) -> State:
    """The state in which an authorization is Available again; an empty name changes nothing."""
    if not name:
        return state
    owner = state.circuits[circuit]
    return _marked(state, owner, replace(owner.authorizations[name], used_by=""))


def _marked(state: State, circuit: Circuit, authorization: Authorization) -> State:
    return state.with_circuit(
        replace(circuit, authorizations=put(circuit.authorizations, authorization.name, authorization))
    )
