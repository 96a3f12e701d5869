import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * Runs one Elasticsearch node of the home es.path.home with the configuration folder es.path.conf until SIGTERM.
 * Arguments: key=value, settings that override the configuration file's.
 */
public final class Launcher {
    private static final long CLOSE_SECONDS = 10;

    private Launcher() {}

    public static void main(String[] arguments) throws Exception {
        LogConfigurator.configureESLogging();
        Environment environment = environment(arguments);
        LogConfigurator.registerErrorListener();
        LogConfigurator.setNodeName(Node.NODE_NAME_SETTING.get(environment.settings()));
        LogConfigurator.configure(environment, true);
        Node node = new Node(environment, plugins(environment));
        CountDownLatch closed = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node, closed), "close"));
        node.start();
        closed.await();
    }

    private static Environment environment(String[] arguments) {
        Map<String, String> overrides = new HashMap<>();
        for (String argument : arguments) {
            int equals = argument.indexOf('=');
            overrides.put(argument.substring(0, equals), argument.substring(equals + 1));
        }
        Path configuration = Path.of(System.getProperty("es.path.conf"));
        Settings home = Settings.builder().put("path.home", System.getProperty("es.path.home")).build();
        return InternalSettingsPreparer.prepareEnvironment(home, overrides, configuration, () -> "tapewatch");
    }

    private static PluginsLoader plugins(Environment environment) throws Exception {
        return PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(environment.modulesDir(), false),
            PluginsLoader.loadPluginsBundles(environment.pluginsDir(), false),
            Map.of()
        );
    }

    private static void close(Node node, CountDownLatch closed) {
        try {
            node.prepareForClose();
            node.close();
            node.awaitClose(CLOSE_SECONDS, TimeUnit.SECONDS);
        } catch (Exception failure) {
            failure.printStackTrace();
        } finally {
            closed.countDown();
        }
    }
}
