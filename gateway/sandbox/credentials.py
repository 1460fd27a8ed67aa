"""The emulated vendors' credentials: public on purpose, and literal in `config/demo.yaml` too."""

from types import MappingProxyType
from typing import Final

RECOMENDO_CLIENT_ID: Final = "demo-recomendo"
RECOMENDO_CLIENT_SECRET: Final = "demo-recomendo-secret"

ALGOLIA_APPLICATION_ID: Final = "DEMOAPP"
ALGOLIA_API_KEY: Final = "demo-algolia-search-key"
ALGOLIA_ADMIN_API_KEY: Final = "demo-algolia-admin-key"
ALGOLIA_PERSONALIZATION_API_KEY: Final = "demo-algolia-personalization-key"

# What each of Algolia's keys may do, in the vendor's words.
ALGOLIA_ACLS: Final = MappingProxyType(
    {
        ALGOLIA_API_KEY: frozenset({"search"}),
        ALGOLIA_ADMIN_API_KEY: frozenset({"search", "settings", "editSettings", "addObject", "deleteObject"}),
        ALGOLIA_PERSONALIZATION_API_KEY: frozenset({"recommendation"}),
    }
)

DISCERNER_USERNAME: Final = "demo-shop"
DISCERNER_PASSWORD: Final = "demo-discerner-password"

XAYN_TOKEN: Final = "demo-xayn-token"
XAYN_BACK_OFFICE_TOKEN: Final = "demo-xayn-back-office-token"

# By adapter name, under the names of the provider's `options` in the configuration.
OPTIONS: Final = MappingProxyType(
    {
        "recomendo": {"client_id": RECOMENDO_CLIENT_ID, "client_secret": RECOMENDO_CLIENT_SECRET},
        "algolia-recommend": {
            "application_id": ALGOLIA_APPLICATION_ID,
            "api_key": ALGOLIA_API_KEY,
            "admin_api_key": ALGOLIA_ADMIN_API_KEY,
        },
        "algolia-personalization": {
            "application_id": ALGOLIA_APPLICATION_ID,
            "api_key": ALGOLIA_PERSONALIZATION_API_KEY,
        },
        "discerner": {"username": DISCERNER_USERNAME, "password": DISCERNER_PASSWORD},
        "xayn": {"token": XAYN_TOKEN, "back_office_token": XAYN_BACK_OFFICE_TOKEN},
    }
)
