"""How the bank is told, while it runs, what to do wrong; on loopback only."""

import msgspec
from aiohttp import web

from payments.acquirers.far_end.faults import Faults, Order
from payments.acquirers.far_end.record import Record

_decode = msgspec.json.Decoder(Order).decode
_encode = msgspec.json.Encoder().encode


def control_application(faults: Faults, record: Record) -> web.Application:
    """Return it: `GET /` says what is set, what went wrong and what was approved; `POST /` sets what goes wrong from now on."""

    async def show(_: web.Request) -> web.Response:
        state = {"order": faults.order, "happened": faults.happened, "approved": record.totals()}
        return web.Response(body=_encode(state), content_type="application/json")

    async def tell(request: web.Request) -> web.Response:
        try:
            faults.tell(_decode(await request.read()))
        except msgspec.MsgspecError as mistake:
            return web.json_response({"error": str(mistake)}, status=400)
        return await show(request)

    made = web.Application()
    made.add_routes([web.get("/", show), web.post("/", tell)])
    return made
