"""Accounts: the one that an API key stands for. There are no others to be seen: what plugins ask first is who they are."""

from dataclasses import dataclass

from payments.domain.errors import AccountInvalid
from payments.storage.database import Pool
from payments.storage.keys import find_account
from payments.wire.api import Call, Endpoint, Endpoints, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.kind import Shown
from payments.wire.params import NoParams
from payments.wire.reading import ListParams, none_of_them
from payments.wire.render_account import render_account

OWN_PATH = "/v1/account"
PATH = "/v1/accounts"


@dataclass(frozen=True, slots=True)
class Accounts:
    """Handlers of `/v1/account` and `/v1/accounts`."""

    pool: Pool

    def endpoints(self) -> Endpoints:
        """What may be called."""
        return [
            Endpoint("GET", OWN_PATH, NoParams, self._own, shows=Shown("account")),
            Endpoint("GET", PATH, ListParams, self._list, shows=Shown("account", listed=True)),
            Endpoint("GET", f"{PATH}/{{id}}", NoParams, self._retrieve, shows=Shown("account")),
        ]

    async def _own(self, call: Call, _: NoParams) -> Reply:
        check_expandable(call, "account")
        return reply(render_account(await find_account(self.pool, call.principal.merchant_id)))

    async def _retrieve(self, call: Call, params: NoParams) -> Reply:
        if call.path["id"] != call.principal.account_id:
            raise AccountInvalid(call.path["id"])
        return await self._own(call, params)

    async def _list(self, call: Call, params: ListParams) -> Reply:
        """List the accounts that are connected to the caller's: a merchant of Tap has none."""
        check_expandable(call, "account")
        return await none_of_them("account", params, PATH)
