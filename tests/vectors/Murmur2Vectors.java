// Writes murmur2.json: keys with the hash and the partitions that Kafka's own Java producer gives them.
//
//   mvn -q dependency:copy -Dartifact=org.apache.kafka:kafka-clients:4.1.0 -DoutputDirectory=/tmp/kafka-clients
//   mvn -q dependency:copy -Dartifact=org.slf4j:slf4j-api:1.7.36 -DoutputDirectory=/tmp/kafka-clients
//   java -cp '/tmp/kafka-clients/*' tests/vectors/Murmur2Vectors.java 2>/dev/null > tests/vectors/murmur2.json
//
// Keys are written as escaped ASCII, so the platform's encoding does not matter; hashes are signed 32-bit.

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashSet;
import java.util.Set;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;
import org.apache.kafka.common.utils.Utils;

public class Murmur2Vectors {
    private static final int[] PARTITIONS = {1, 2, 3, 4, 7, 16, 64, 1000};

    public static void main(String[] args) {
        StringBuilder out = new StringBuilder("{\"client\":\"org.apache.kafka:kafka-clients:4.1.0\",\"vectors\":[\n");
        String separator = "";
        for (String key : keys()) {
            byte[] bytes = key.getBytes(StandardCharsets.UTF_8);
            out.append(separator).append("{\"key\":\"").append(escaped(key)).append("\",\"murmur2\":").append(Utils.murmur2(bytes));
            out.append(",\"partitions\":{");
            String comma = "";
            for (int n : PARTITIONS) {
                out.append(comma).append('"').append(n).append("\":").append(BuiltInPartitioner.partitionForKey(bytes, n));
                comma = ",";
            }
            out.append("}}");
            separator = ",\n";
        }
        System.out.println(out.append("\n]}"));
    }

    private static Set<String> keys() {
        Set<String> keys = new LinkedHashSet<>();
        keys.add("");
        for (String tail : new String[] {"a", "ab", "abc", "abcd", "abcde", "abcdef", "abcdefg", "*", "0", "\u0000", "\u007f", " "}) {
            keys.add(tail);
        }
        String[] named = {
            "2330.XTAI", "005930.XKRX", "AAPL.XNAS", "BTCUSDT.BINANCE", "BTCUSDT-PERP.BINANCE", "KRW-BTC.UPBIT",
            "ETHUSDT.BINANCE", "MSFT.XNAS", "BRK_B.XNYS", "M&M.XNSE", "AST.BINANCE", "ICN.BINANCE", "0050.XTAI",
            "\u53f0\u7a4d\u96fb", "\uc0bc\uc131\uc804\uc790", "\u6bd4\u7279\u5e01.UPBIT", "\ube44\ud2b8\ucf54\uc778.UPBIT",
            "\u00e9\u00fc\u00df", "\u20ac", "\ud83d\ude80", "\ud83d\ude80\ud83d\ude80moon", "\u0639\u0631\u0628\u064a",
            "\u53f0", "\u53f0\u7a4d", "x\u53f0", "xy\u53f0", "\n\t", "a.b|c|1700000000000000000"
        };
        for (String key : named) {
            keys.add(key);
        }
        for (int i = 0; i < 100; i++) {
            keys.add(String.format("SYN%04d.XSYN", i));
        }
        String alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
        for (int length = 1; length <= 60; length++) {
            StringBuilder key = new StringBuilder();
            for (int i = 0; i < length; i++) {
                key.append(alphabet.charAt((length * 31 + i * 17 + i * i) % alphabet.length()));
            }
            keys.add(key.toString());
        }
        return keys;
    }

    private static String escaped(String text) {
        StringBuilder out = new StringBuilder();
        for (char c : text.toCharArray()) {
            out.append(c < 0x20 || c > 0x7e || c == '"' || c == '\\' ? String.format("\\u%04x", (int) c) : String.valueOf(c));
        }
        return out.toString();
    }
}
