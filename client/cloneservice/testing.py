"""A CloneService of your own for every test, in your test's process; needs `pip install 'cloneservice[server,fake]'`.

With pytest nothing is to be imported, the plugin comes with the package:

    def test_checkout_charges_the_shopper(clone_service):
        checkout = Checkout(clone_service.client())
        checkout.pay(clone_service.customers["pays"], clone_service.accounts["bakery"], 1999)

        assert len(clone_service.stripe.events("charge.succeeded")) == 1

Elsewhere:

    from cloneservice.testing import LocalCloneService

    with LocalCloneService() as service, service.client() as client:
        ...

`service.stripe` is the fake_stripe world behind it: `fault("commit_then_drop", ...)` loses an answer, `advance(...)`
moves the clock. Tests in other languages start `cloneservice-server dev` instead.
"""

# The one place where the client knows the server: a door that only tests open. The client itself never comes here.
try:
    from cloneservice_server.testing import SELLERS, SHOPPERS, LocalCloneService
except ImportError as missing:
    raise ImportError(
        f"cloneservice.testing runs a server and a Stripe double ({missing}): pip install 'cloneservice[server,fake]'",
        name=missing.name,
    ) from missing

__all__ = ["SELLERS", "SHOPPERS", "LocalCloneService"]
