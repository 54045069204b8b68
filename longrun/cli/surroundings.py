"""What a command takes from the ``longrun dev`` of its folder."""

import os


def use_temporal_of_dev() -> None:
    """Talk to the Temporal server of the ``longrun dev`` over the home folder, unless another one is named."""
    from temporalio.envconfig import ClientConfig

    from longrun.runtime.dev_lock import running_dev
    from longrun.runtime.settings import Settings

    named = ClientConfig.load_client_connect_config().get("target_host")
    if not named and (dev := running_dev(Settings().home)):
        os.environ["TEMPORAL_ADDRESS"] = dev.temporal
