"""Order gateways: live orders of the topic `orders` to a venue, exactly once, and what became of them back."""

from sinks.orders.gateway import Gateway as Gateway
from sinks.orders.intake import OrderReceiver as OrderReceiver
from sinks.orders.intake import OrderRecord as OrderRecord
from sinks.orders.journal import Journal as Journal
from sinks.orders.limits import Limits as Limits
from sinks.orders.service import Progress as Progress
from sinks.orders.service import serve as serve
