"""A small client of Airflow's REST API."""

from typing import Any

import requests

from include.gong.local.settings import LocalError

TIMEOUT_S = 30


class AirflowApiError(LocalError):
    """Airflow rejected a request, or did not respond; the message says why.

    :ivar status: of its response; None: there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Airflow:
    """Airflow's REST API with a login; paths are below /api/v2."""

    def __init__(self, address: str, login: str, password: str) -> None:
        self.address = address
        self._login = {"username": login, "password": password}
        self._session = requests.Session()
        self._session.trust_env = False  # Airflow is on this machine: no proxy, no .netrc

    def is_up(self) -> bool:
        """Whether the api-server serves tasks; the first call takes seconds, so it is made before a run."""
        try:
            return self._session.get(f"{self.address}/execution/health", timeout=TIMEOUT_S).ok
        except requests.RequestException:
            return False

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """GET; a 404 returns an empty object."""
        return self._call("GET", path, params=params)

    def post(self, path: str, body: dict[str, Any], timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """POST a JSON body."""
        return self._call("POST", path, json=body, timeout=timeout_s)

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """PATCH with a JSON body."""
        return self._call("PATCH", path, json=body)

    def put(self, path: str) -> dict[str, Any]:
        """PUT without a body."""
        return self._call("PUT", path)

    def _call(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        for attempt in range(2):
            if attempt or "Authorization" not in self._session.headers:  # `make up` outlives a token
                self._log_in()
            response = self._send(method, f"api/v2/{path}", **arguments)
            if response.status_code != requests.codes.unauthorized:
                break
        if response.status_code == requests.codes.not_found and method == "GET":
            return {}
        if not response.ok:
            raise _refusal(response)
        found: dict[str, Any] = response.json() if response.content else {}
        return found

    def _log_in(self) -> None:
        response = self._send("POST", "auth/token", json=self._login)
        if not response.ok:
            raise _refusal(response)
        self._session.headers["Authorization"] = f"Bearer {response.json()['access_token']}"

    def _send(self, method: str, path: str, **arguments: Any) -> requests.Response:
        try:
            return self._session.request(
                method, f"{self.address}/{path}", **{"timeout": TIMEOUT_S, **arguments}
            )
        except requests.RequestException as error:
            raise AirflowApiError(
                f"Airflow's api-server did not respond ({type(error).__name__})."
            ) from error


def _refusal(response: requests.Response) -> AirflowApiError:
    try:
        detail = response.json().get("detail", "")
    except ValueError:
        detail = response.text[:200]
    if isinstance(detail, list):  # FastAPI's list of validation errors
        detail = "; ".join(str(entry.get("msg", entry)) for entry in detail)
    return AirflowApiError(f"Airflow returned {response.status_code}: {detail}", response.status_code)
