"""Accounts: the one that an API key stands for. There are no others to be seen: what plugins ask first is who they are."""

from dataclasses import dataclass

from payments.domain.errors import AccountInvalid
from payments.storage.database import Pool
from payments.storage.keys import find_account
from payments.wire.api import Call, Endpoint, Reply, reply
from payments.wire.expansion import check_expandable
from payments.wire.reading import ListParams, Reader
from payments.wire.render_account import render_account

OWN_PATH = "/v1/account"
PATH = "/v1/accounts"


@dataclass(frozen=True, slots=True)
class Accounts:
    """Handlers of `/v1/account` and `/v1/accounts`."""

    reader: Reader
    pool: Pool

    def endpoints(self) -> list[Endpoint]:
        """Return the endpoints."""
        return [
            Endpoint("GET", OWN_PATH, self._own),
            Endpoint("GET", PATH, self._list),
            Endpoint("GET", f"{PATH}/{{id}}", self._retrieve),
        ]

    async def _own(self, call: Call) -> Reply:
        call.no_parameters()
        check_expandable(call, "account")
        return reply(render_account(await find_account(self.pool, call.principal.merchant_id)))

    async def _retrieve(self, call: Call) -> Reply:
        if call.path["id"] != call.principal.account_id:
            raise AccountInvalid(call.path["id"])
        return await self._own(call)

    async def _list(self, call: Call) -> Reply:
        """List the accounts that are connected to the caller's: a merchant of Tap has none."""
        params = call.parse(ListParams)
        check_expandable(call, "account")
        return self.reader.none("account", params, PATH)
